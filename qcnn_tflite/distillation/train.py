"""The passes of distillation."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..agreement import Agreement
from ..calibration.held_out import held_out_mask
from ..calibration.images import CalibrationImages
from ..errors import DataError
from ..graph import Model, QuantizedLayer, find_layers
from ..progress import Progress
from ..report import DistillationReport
from .checkpoint import Checkpoint
from .network import DistilledNetwork
from .run import Run
from .settings import DistillSettings

FloatArray = NDArray[np.float32]
# Images whose inputs make the metric of the codes.
_SAMPLE = 128
# Random crops are trained on if they are not this much harder for the student than the images
# themselves: else they are not what the network was made for, e.g. mirrored shoes.
_HARDER = 1.1


@dataclass
class Distilled:
    """What distillation gives back.

    Attributes
    ----------
    constants : dict of layer name to QuantizedLayer
    floats : dict of layer name to (weights, bias)
        New constants of layers that stay float, in the graph's own shapes.
    images : int
        Trained on.
    passes : float
        Made; fewer than asked for where held-out images said so.
    varied : bool
        Whether images were cropped and mirrored at random.
    before, after : Agreement
        With the float network, on held-out images.
    history : list of (float, float, float)
        Pass, KL divergence and share of equal first classes, of every judgement.
    seconds : float
        Since the last start.
    """

    constants: dict[str, QuantizedLayer]
    floats: dict[str, tuple[FloatArray, FloatArray | None]]
    images: int
    passes: float
    varied: bool
    before: Agreement
    after: Agreement
    history: list[tuple[float, float, float]] = field(default_factory=list)
    seconds: float = 0.0

    def report(self) -> DistillationReport:
        """For the report of the conversion."""
        return DistillationReport(
            self.images, self.passes, self.varied, self.before, self.after, self.seconds
        )


def distill(
    model: Model,
    quantized: Mapping[str, QuantizedLayer],
    images: CalibrationImages,
    *,
    passes: int,
    seed: int = 0,
    progress: bool | None = None,
    checkpoint: Path | None = None,
    settings: DistillSettings | None = None,
) -> Distilled:
    """Tune a quantized network's constants to the outputs and responses of the float one.

    Distillation as in Hinton et al. (2015), without labels. Codewords are trained through their codes
    as in Stock et al. (ICLR 2020); codes follow a latent weight behind each block.

    Parameters
    ----------
    model : Model
        Float.
    quantized : mapping of layer name to QuantizedLayer
        What the learning of the layers made.
    images : CalibrationImages
    passes : int
        Over the images that are trained on.
    seed : int
    progress : bool, optional
    checkpoint : Path, optional
        File to save the state in, and to go on from after an interruption; removed at the end.
    settings : DistillSettings, optional

    Returns
    -------
    Distilled
        The best state by the KL divergence on held-out images; the one at the start if no other is
        better.

    Raises
    ------
    DataError
        If there are fewer than two images.
    ModelError
        If the model has an operator that cannot be differentiated.
    OutputError
        If the checkpoint cannot be written, or a file of its name is something else.
    RuntimeMissingError
        Without TensorFlow.
    """
    began = time.perf_counter()
    settings = settings or DistillSettings()
    train, judges = _split(len(images), settings, seed)
    size = settings.batch
    sample = images.batches(32, train[:_SAMPLE])
    network = DistilledNetwork(model, find_layers(model), quantized, settings, sample)
    targets = network.teach(images.batches(size, judges))
    steps = -(-len(train) // size)
    total = passes * steps
    run = Run(network)
    saved = None
    if checkpoint is not None:
        saved = Checkpoint(checkpoint, quantized, targets, (passes, seed, len(images), settings))
    if saved is None or not saved.restore(network, run):
        run.begin(network.judge(images.batches(size, judges), targets))
        run.varied = images.can_vary and _fit_to_vary(network, images, judges, size, seed, run)
    every = max(1, steps // settings.evaluations)
    with Progress(total, "steps", progress) as bar:
        bar.advance(run.step)
        while run.step < total and run.step - run.best_step < settings.patience * steps:
            bar.describe(f"distillation, KL {run.best.kl:.4f}")
            for batch in _rest_of_pass(images, train, size, seed, run.step, steps, run.varied):
                network.train(batch, np.float32(_decay(run.step, total)))
                run.step += 1
                moving = run.step <= settings.reassign_until * total
                if network.latents and moving and run.step % settings.reassign_every == 0:
                    network.reassign()
                if run.step % every == 0 or run.step == total:
                    with network.averaged():
                        found = network.judge(images.batches(size, judges), targets)
                        run.keep(found, steps)
                    if saved is not None:
                        saved.save(network, run)
                bar.advance()
    if saved is not None:
        saved.remove()
    return Distilled(
        constants=run.constants,
        floats=run.floats,
        images=len(train),
        passes=run.step / steps,
        varied=run.varied,
        before=run.first,
        after=run.best,
        history=run.history,
        seconds=time.perf_counter() - began,
    )


def _decay(step: int, total: int) -> float:
    """Cosine decay after ten steps of warming up."""
    return min(1.0, (step + 1) / 10) * 0.5 * (1 + math.cos(math.pi * step / total))


def _split(
    count: int, settings: DistillSettings, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Images to train on and held-out ones: some of those that judged the learning of the layers."""
    if count < 2:
        raise DataError(
            f"distillation needs images to train on and others to judge by, got {count}; give a "
            "folder with a few hundred"
        )
    few = max(settings.held_out, min(64, count / 4) / count)
    mask = held_out_mask(count, min(few, settings.held_out_limit / count), seed)
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def _fit_to_vary(
    network: DistilledNetwork,
    images: CalibrationImages,
    judges: NDArray[np.int64],
    size: int,
    seed: int,
    run: Run,
) -> bool:
    """Whether random crops are pictures such as the network was made for."""

    def varied() -> Iterator[FloatArray]:
        return images.batches(size, judges, variant=(seed, 1 << 31))

    harder = network.judge(varied(), network.teach(varied()))
    return harder.kl <= _HARDER * run.first.kl


def _rest_of_pass(
    images: CalibrationImages,
    train: NDArray[np.int64],
    size: int,
    seed: int,
    step: int,
    steps: int,
    varied: bool,
) -> Iterator[FloatArray]:
    """The batches of the pass that `step` lies in, from there on, in that pass's own order and crops."""
    number, done = divmod(step, steps)
    order = np.random.default_rng((seed, number)).permutation(train)
    return images.batches(size, order[done * size :], variant=(seed, number) if varied else None)
