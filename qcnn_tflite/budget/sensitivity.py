"""What quantizing one layer does to the network's output, measured on calibration images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from ..calibration.collect import collect_statistics
from ..calibration.images import CalibrationImages
from ..calibration.judge import OutputJudge
from ..calibration.network import PairedNetwork
from ..config import LayerConfig, LearningConfig
from ..errors import ModelError
from ..graph import Layer, Model, layer_bias, layer_weights
from ..plan import block_layout
from ..progress import Progress
from .candidates import Candidate, float_candidate, quantized_candidates, spread_out, undominated
from .quick import QuickLayer, learn_quickly, sampled_errors

# Images for the statistics of the inputs, and others to run the network on.
STATISTICS_IMAGES, MEASURED_IMAGES = 256, 128
# Subspaces that tell a setting's error, and settings a layer whose effect is measured.
_SAMPLED_SUBSPACES, _PROBES = 8, 4
# Stands for zero in logarithms.
_FLOOR = 1e-9
# Of the ratio of standard deviations, for the output scale.
_SCALE_POWER = {"conv": 0.5, "fc": 1.0}


@dataclass(frozen=True)
class LayerOptions:
    """A layer's candidates: the float layer first, then the quantized ones.

    Attributes
    ----------
    layer : Layer
    candidates : list of Candidate
    tried : int
        Settings that were looked at before those that others dominate were dropped.
    measured : int
        Settings with which the network was run.
    """

    layer: Layer
    candidates: list[Candidate]
    tried: int
    measured: int


def measure(
    model: Model,
    layers: list[Layer],
    images: CalibrationImages,
    learning: LearningConfig,
    *,
    axes: tuple[str, ...],
    kernel: str | None,
    seed: int,
    jobs: int | None,
    threads: int,
    progress: bool | None,
) -> list[LayerOptions]:
    """Candidates of every layer with their effect on the network's output.

    Only one layer is quantized at a time, by the quick learner; the rest of the network runs in
    float on the cached inputs of the layer.

    Parameters
    ----------
    model : Model
    layers : list of Layer
        In graph order.
    images : CalibrationImages
    learning : LearningConfig
    axes : tuple of {"bytes", "ms", "ops"}
        Costs that matter to the budget: a setting that is beaten in all of them is not measured.
    kernel : str or None
        Whose times are predicted.
    seed : int
    jobs : int or None
    threads : int
    progress : bool or None

    Raises
    ------
    DataError
        If the images do not fit.
    ModelError
        If the model is no classifier.
    """
    order = np.random.default_rng(seed).permutation(len(images))
    measured = max(1, min(MEASURED_IMAGES, len(images) // 3))
    judged = images.subset(np.sort(order[:measured]))
    seen = images.subset(
        np.sort(order[measured : measured + STATISTICS_IMAGES] if len(images) > 1 else order)
    )
    options = []
    limit = learning.cache_limit // 2
    with (
        PairedNetwork(model, seen, cache_limit=limit, threads=threads) as inputs,
        PairedNetwork(model, judged, cache_limit=limit, threads=threads) as network,
        Progress(len(layers), "layers", progress) as bar,
    ):
        judge = OutputJudge(model, network)
        if not judge.classifies:
            raise ModelError(
                "a budget needs a classifier to judge by: one output with one row of class scores an "
                "image; choose a configuration instead"
            )
        for layer in layers:
            bar.describe(f"sensitivity of {layer.name}")
            first = layer.op_index if layer.pad_op is None else layer.pad_op
            inputs.advance(first, {})
            effect = judge.before(first, layer.op_index, {})
            quick = _quick_layer(model, layer, inputs, learning, seed)
            found = quantized_candidates(layer, kernel)
            tried = len(found)
            found = _with_errors(quick, found, seed)
            kept = undominated(found, (*axes, "error"))
            power = _SCALE_POWER["fc" if layer.kind == "fc" else "conv"]
            probed = []
            for candidate in spread_out(kept, ("error",), _PROBES):
                learned = learn_quickly(quick, candidate.config, scale=power, seed=seed, jobs=jobs)
                caused = effect.agreement(*learned)
                probed.append(replace(candidate, kl=caused.kl, drop=caused.estimated_top5_drop))
            done = [float_candidate(layer, kernel), *interpolated(kept, probed)]
            options.append(LayerOptions(layer, done, tried, len(probed)))
            bar.advance()
    return options


def _with_errors(quick: QuickLayer, found: list[Candidate], seed: int) -> list[Candidate]:
    """The candidates with the errors of their responses."""

    def apart_from_dtype(candidate: Candidate) -> tuple[object, ...]:
        c = candidate.config
        return c.d, c.K, c.codebooks, c.output_scale

    done = []
    for _, group in groupby(found, apart_from_dtype):
        members = list(group)
        configs = [c.config for c in members]
        errors = sampled_errors(quick, configs, _SAMPLED_SUBSPACES, seed)
        done += [replace(c, error=e) for c, e in zip(members, errors, strict=True)]
    return done


def _quick_layer(
    model: Model, layer: Layer, network: PairedNetwork, learning: LearningConfig, seed: int
) -> QuickLayer:
    weights = layer_weights(model, layer)
    layout = block_layout(layer, LayerConfig(d=1))
    statistics, _ = collect_statistics(
        network,
        layer,
        weights,
        layout,
        {},
        held_out=np.zeros(network.count, np.bool_),
        positions_per_image=learning.positions_per_image,
        random_state=seed,
    )
    return QuickLayer.of(weights, layer_bias(model, layer), layout, statistics)


def interpolated(candidates: list[Candidate], probed: list[Candidate]) -> list[Candidate]:
    """Candidates with KL divergence and drop, from those of the measured ones.

    Small errors of one layer change the output in proportion to their power, so that both follow the
    layer's error on straight lines in logarithms; between two measured settings they are interpolated
    so, and a smaller error is never taken to do more harm.

    Parameters
    ----------
    candidates : list of Candidate
    probed : list of Candidate
        Measured; the ones with the least and the largest error are among them.
    """
    if not probed:
        return candidates
    points = sorted(probed, key=lambda c: c.error)
    errors = np.log([max(c.error, _FLOOR) for c in points])
    curves = {
        name: np.maximum.accumulate([max(getattr(c, name), _FLOOR) for c in points])
        for name in ("kl", "drop")
    }

    def at(candidate: Candidate, name: str) -> float:
        error = np.log(max(candidate.error, _FLOOR))
        return float(np.exp(np.interp(error, errors, np.log(curves[name]))))

    return [replace(c, kl=at(c, "kl"), drop=at(c, "drop")) for c in candidates]
