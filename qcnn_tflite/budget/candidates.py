"""What each layer could become, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from .. import float_cost
from ..config import Config, LayerConfig
from ..graph import Layer
from ..plan import constant_bytes, layer_cost
from ..prediction import quantized_ms

_WORDS = (16, 32, 64, 128, 256)
_LENGTHS = {
    "conv": (1, 2, 3, 4, 6, 8, 9, 16),
    "conv1x1": (1, 2, 3, 4, 6, 8),
    "fc": (1, 2, 3, 4, 6, 8),
}
# Codebooks above this share of a layer's bytes are worth storing as int8, or sharing.
_HEAVY = 0.15
# k-means of more codewords than this takes longer than the choice may: they are left out.
_MAX_CODEWORDS = 400_000


@dataclass(frozen=True)
class Candidate:
    """One way to store a layer.

    Attributes
    ----------
    config : LayerConfig
        With ``quantize=False`` for the float layer.
    bytes : int
        Of the constants in the file.
    ops : int
        Theoretical operations.
    ms : float
        Predicted time on one thread; NaN where there is no prediction.
    error : float
        Relative squared error of the response by the quick learner on a sample of the subspaces.
    kl, drop : float
        Of the network's output with only this layer quantized: KL divergence, and estimated top-5
        drop in points. NaN until they are known.
    """

    config: LayerConfig
    bytes: int
    ops: int
    ms: float
    error: float = 0.0
    kl: float = float("nan")
    drop: float = float("nan")

    @property
    def is_float(self) -> bool:
        return not self.config.quantize

    def __str__(self) -> str:
        if self.is_float:
            return "float"
        c = self.config
        kind = "" if c.codebooks == "per_subspace" else f" {c.codebooks}"
        return f"d={c.d} K={c.K}{kind} {c.codebook_dtype}"


def eligible(layer: Layer, config: Config, *, last_fc: bool) -> bool:
    """Whether the choice is free: the layer can be quantized, and the configuration lets it."""
    return (
        not layer.ineligible
        and layer.weight_count >= config.min_weights
        and config.for_layer(layer.name, layer.kind, last_fc=last_fc).quantize
    )


def float_candidate(layer: Layer, kernel: str | None) -> Candidate:
    """The layer left as it is."""
    ms = float_cost.predict_ms(layer, kernel) if kernel else float("nan")
    ops = layer.positions * layer.weight_count
    config = LayerConfig(quantize=False)
    return Candidate(config, layer.float_bytes, ops, ms, 0.0, 0.0, 0.0)


def quantized_candidates(layer: Layer, kernel: str | None) -> list[Candidate]:
    """Every setting that makes the layer smaller or faster than float; errors still 0.

    Parameters
    ----------
    layer : Layer
    kernel : str or None
        Of the cost model.
    """
    plain = float_candidate(layer, kernel)
    found = []
    for config in _settings(layer):
        size = constant_bytes(layer, config, scales=True)
        ops = layer_cost(layer, d=config.d, K=config.K).ops_after
        ms = quantized_ms(layer, config.K, config.d, kernel) if kernel else None
        candidate = Candidate(config, size, ops, float("nan") if ms is None else ms)
        if size < plain.bytes:
            found.append(candidate)
    return found


def _settings(layer: Layer) -> Iterator[LayerConfig]:
    per_group = layer.in_channels // layer.groups
    points = layer.out_channels * layer.kernel[0] * layer.kernel[1]
    for d in _LENGTHS[layer.kind]:
        if d > per_group:
            continue
        # A layer of fewer channels than d is one subspace of all of them.
        for K in _WORDS:
            if points // 2 < K:
                continue
            single = LayerConfig(d=d, K=K, codebook_dtype="float16")
            M = -(-per_group // d)
            books = M * K * d * 2
            total = constant_bytes(layer, single, scales=True)
            heavy = books > _HEAVY * total
            if (d > 1 or per_group <= 4) and M * K <= _MAX_CODEWORDS:
                yield single
                if heavy:
                    yield replace(single, codebook_dtype="int8")
            if (heavy or d == 1) and M > 1:
                yield replace(single, codebooks="shared", output_scale=True)


def undominated(candidates: list[Candidate], axes: tuple[str, ...]) -> list[Candidate]:
    """Those that no other one beats or equals in all of `axes` (names of attributes)."""
    table = np.array([[getattr(c, axis) for axis in axes] for c in candidates], float)
    kept = []
    for i, row in enumerate(table):
        others = np.delete(table, i, axis=0)
        no_worse = (others <= row).all(axis=1)
        # Of equals the first stays.
        equal = (others == row).all(axis=1)
        earlier = np.delete(np.arange(len(table)), i) < i
        if not (no_worse & (~equal | earlier)).any():
            kept.append(candidates[i])
    return kept


def spread_out(candidates: list[Candidate], axes: tuple[str, ...], count: int) -> list[Candidate]:
    """At most `count` of them that cover the range of `axes`, on logarithmic scales.

    The ends of every axis, then again and again the one farthest from all that are taken.
    """
    if len(candidates) <= count:
        return candidates
    table = np.log([[max(getattr(c, axis), 1e-12) for axis in axes] for c in candidates])
    span = np.ptp(table, axis=0)
    table = (table - table.min(axis=0)) / np.where(span > 0, span, 1)
    taken = list(dict.fromkeys(int(np.argmin(column)) for column in table.T))[:count]
    while len(taken) < count:
        distance = np.abs(table[:, None] - table[taken]).max(axis=2).min(axis=1)
        taken.append(int(np.argmax(distance)))
    return [candidates[i] for i in sorted(taken)]
