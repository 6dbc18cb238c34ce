"""Learns a plan's layers one after another, in graph order."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from joblib.parallel import BACKENDS, get_active_backend
from numpy.typing import NDArray

from .calibration.collect import collect_statistics
from .calibration.held_out import held_out_mask
from .calibration.images import CalibrationImages
from .calibration.judge import OutputJudge
from .calibration.network import PairedNetwork
from .config import LearningConfig
from .errors import DataError
from .graph import Model, QuantizedLayer, layer_bias, layer_weights
from .plan import PlannedLayer, quantized_report
from .pq import LearnedLayer, Recipe, learn, learn_from_weights
from .progress import Progress
from .report import LayerReport

FloatArray = NDArray[np.float32]

# Images whose outputs are compared, at least (see `_held_out`) and at most.
_JUDGES, _MOST_JUDGES = 64, 256
# Views in all that are worth their time; of more images one view is enough.
_VIEWS = 4000


@dataclass
class LearnedNetwork:
    """Constants and reports of all layers that were quantized.

    Parameters
    ----------
    constants : dict of layer name to QuantizedLayer
    reports : list of LayerReport
    images : int
        Calibration images used.
    notes : list of str
    """

    constants: dict[str, QuantizedLayer] = field(default_factory=dict)
    reports: list[LayerReport] = field(default_factory=list)
    images: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, planned: PlannedLayer, learned: LearnedLayer, seconds: float) -> None:
        q = QuantizedLayer(
            learned.codebooks, learned.codes, learned.bias, learned.scale, learned.codebook_scales
        )
        self.constants[planned.layer.name] = q
        self.reports.append(
            quantized_report(
                planned,
                K=q.K,
                codebooks=len(q.codebooks),
                size=sum(q.sizes().values()),
                error=learned.error,
                choice=learned.choice,
                seconds=seconds,
            )
        )


def learn_without_images(
    graph: Model,
    planned: list[PlannedLayer],
    config: LearningConfig,
    *,
    seed: int,
    jobs: int | None,
    progress: bool | None,
) -> LearnedNetwork:
    """Approximate each layer's weights."""
    network = LearnedNetwork()
    network.notes.append(
        "without calibration images only the weights were approximated; error correction on a few "
        "hundred unlabelled images (calibration=FOLDER) keeps the responses instead, which usually "
        "saves several points of accuracy"
    )
    with Progress(len(planned), "layers", progress) as bar:
        for item in planned:
            began = time.perf_counter()
            bar.describe(item.layer.name)
            learned = learn_from_weights(
                layer_weights(graph, item.layer),
                layer_bias(graph, item.layer),
                item.layout,
                _recipe(item, config),
                random_state=seed,
                jobs=_jobs(jobs),
            )
            network.add(item, learned, time.perf_counter() - began)
            bar.advance()
    return network


def learn_from_images(
    graph: Model,
    planned: list[PlannedLayer],
    config: LearningConfig,
    images: CalibrationImages,
    *,
    seed: int,
    jobs: int | None,
    progress: bool | None,
) -> LearnedNetwork:
    """Learn each layer on the responses of the float network and the inputs of the quantized one.

    Raises
    ------
    DataError
        If the images do not fit the model.
    """
    result = LearnedNetwork()
    threads = jobs if jobs and jobs > 0 else os.cpu_count() or 1
    limit = config.cache_limit
    # Convolutions see many positions of an image; a fully-connected layer sees each image once.
    few = any(item.layer.kind == "fc" for item in planned)
    most = max(1, min(config.views, -(-_VIEWS // max(1, len(images)))))
    seen = images.views(most if few else 1, seed)
    with ExitStack() as stack:
        network = stack.enter_context(
            PairedNetwork(graph, seen, cache_limit=limit, threads=threads)
        )
        result.images = min(len(images), network.count)
        held_out = _held_out(len(images), config.held_out, seed)
        views = len(seen) // len(images)
        apart = np.tile(held_out, views)[: network.count]
        order = np.random.default_rng(seed).permutation(np.flatnonzero(held_out))
        judged = images.subset(np.sort(order[:_MOST_JUDGES]))
        judge: OutputJudge | None = None
        if len(judged) >= network.native_batch:
            apart_network = PairedNetwork(graph, judged, cache_limit=limit, threads=threads)
            judge = OutputJudge(graph, stack.enter_context(apart_network))
        replaced: dict[int, tuple[FloatArray, FloatArray | None]] = {}
        bar = stack.enter_context(Progress(len(planned), "layers", progress))
        for item in planned:
            layer, began = item.layer, time.perf_counter()
            bar.describe(layer.name)
            first = layer.op_index if layer.pad_op is None else layer.pad_op
            network.advance(first, replaced)
            weights = layer_weights(graph, layer)
            train, judging = collect_statistics(
                network,
                layer,
                weights,
                item.layout,
                replaced,
                held_out=apart,
                positions_per_image=-(-config.positions_per_image // views),
                random_state=seed,
            )
            learned = learn(
                weights,
                layer_bias(graph, layer),
                item.layout,
                _recipe(item, config),
                train,
                judging,
                network_loss=None
                if judge is None
                else judge.before(first, layer.op_index, replaced),
                random_state=seed,
                jobs=_jobs(jobs),
            )
            replaced[layer.op_index] = (learned.weights, learned.bias)
            result.add(item, learned, time.perf_counter() - began)
            bar.advance()
    return result


def _recipe(item: PlannedLayer, config: LearningConfig) -> Recipe:
    fc = item.layer.kind == "fc"
    return Recipe(
        d=item.config.d,
        K=item.config.K,
        codebooks=item.config.codebooks,
        output_scale=item.config.output_scale,
        codebook_dtype=item.config.codebook_dtype,
        gram_init=config.gram_init,
        sequential=config.sequential,
        sweeps=config.sweeps,
        dampings=config.fc_damping if fc else config.conv_damping,
        response_scales=config.fc_scale if fc else config.conv_scale,
    )


def _held_out(count: int, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Which images choose the method and measure the error.

    At least `_JUDGES`, or a quarter of few images: the loss on a handful says little.
    """
    if count < 1:
        raise DataError("there are no calibration images; give a folder with a few hundred")
    if fraction:
        fraction = max(fraction, min(_JUDGES, count / 4) / count)
    return held_out_mask(count, fraction, seed)


def _jobs(jobs: int | None) -> int | None:
    """All cores, unless a joblib.parallel_config chose a backend or a number: then what it says."""
    if jobs is not None:
        return jobs
    backend, configured = get_active_backend()
    chosen = not isinstance(backend, BACKENDS["loky"]) or configured not in (None, 1)
    return None if chosen else os.cpu_count()
