"""Predicts the time of a product-quantized layer.

A kernel's time is a sum of counts (tables built, lookups, values quantized and finished; see
`conv_counts` and `fc_counts`) times coefficients in nanoseconds, one thread. ``cost_model.json``
holds them with their origin, of this processor or another one;
``benchmarks/fit_cost_model.py`` fits them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .coefficients import Coefficients
from .cost_geometry import ConvLayerShape, Target, conv_counts

__all__ = [
    "ConvLayerShape",
    "FcLayerShape",
    "Target",
    "conv_counts",
    "fc_counts",
    "kernel_names",
    "predict_ms",
]

COEFFICIENTS = Coefficients(Path(__file__).with_name("cost_model.json"), "cost model")
# From so many rows on a fully-connected layer with more than a kernel's `row_entries` in a table runs
# as a 1x1 convolution (core/qfc.cc).
CONV_ROWS = 8
FC_BLOCK = 256


@dataclass(frozen=True)
class FcLayerShape:
    """A fully-connected layer.

    Attributes
    ----------
    rows : int
        Of the input: its batch, or the tokens of a sequence.
    in_channels, out_channels : int
    """

    rows: int
    in_channels: int
    out_channels: int


def predict_ms(
    shape: ConvLayerShape | FcLayerShape, K: int, d: int, kernel: str, *, batch: int = 1
) -> float:
    """Milliseconds of one inference of a layer on one thread.

    Parameters
    ----------
    shape : ConvLayerShape or FcLayerShape
    K, d : int
        Codewords in a codebook, and length of a codeword; subspaces follow from it.
    kernel : str
        One of `kernel_names`.
    batch : int
        Images of a convolution.

    Returns
    -------
    float
        On the machine that `origin` names.

    Raises
    ------
    ConfigError
        If there are no coefficients for the kernel.
    """
    model = kernel_model(kernel)
    target = kernel_target(model)
    if isinstance(shape, FcLayerShape):
        if shape.rows < CONV_ROWS or _entries(K) <= model["row_entries"]:
            counts = fc_counts(shape, K, d, target)
            return _total(model["fc"], counts) * shape.rows * 1e-6
        size = (1, shape.rows)
        shape = ConvLayerShape(size, size, shape.in_channels, shape.out_channels)
    return _total(model["conv"], conv_counts(shape, K, d, target)) * batch * 1e-6


def fc_counts(shape: FcLayerShape, K: int, d: int, target: Target) -> dict[str, float]:
    """What one row costs, by the names of the coefficients in ``cost_model.json``.

    Parameters
    ----------
    shape : FcLayerShape
    K, d : int
    target : Target

    Returns
    -------
    dict of str to float
        entry: table entries; entry_pair: times the pairs of products of each; table: tables;
        lookup_16 to lookup_256: lookups by the size of the table; far: bytes of codes where they
        do not fit into the L2 cache; quantize and finish: values; layer: 1.
    """
    M = -(-shape.in_channels // d)
    while 1 < K * K <= 16 and M > 1:  # two subspaces become one
        M, K, d = -(-M // 2), K * K, 2 * d
    entries = _entries(K)
    lookups = -(-shape.out_channels // FC_BLOCK) * FC_BLOCK * M
    size = lookups * {16: 0.5, 32: 2 / 3}.get(entries, 1)
    counts = {
        "entry": float(M * entries),
        "entry_pair": float(M * entries * ((d + 1) // 2)),
        "table": M,
        f"lookup_{entries}": lookups,
        "far": max(0.0, size - target.l2),
        "quantize": shape.in_channels,
        "finish": shape.out_channels,
        "layer": 1,
    }
    return counts


def kernel_names() -> list[str]:
    """Kernels with coefficients."""
    return COEFFICIENTS.kernels()


def kernel_model(kernel: str) -> Mapping[str, Any]:
    """Coefficients of a kernel and their origin, as ``cost_model.json`` has them for this machine.

    Raises
    ------
    ConfigError
        If there are none.
    """
    return COEFFICIENTS.of(kernel)


def kernel_target(model: Mapping[str, Any]) -> Target:
    """What plans of a kernel depend on."""
    convolution, large, pointwise = model["chunk_weights"]
    weights = (convolution, large, pointwise)
    return Target(model["l1"], model["l2"], tuple(model["window"]), weights)


def origin(kernel: str) -> str:
    """Where a kernel's coefficients come from, for people: the machine and the date."""
    model = kernel_model(kernel)
    return f"{model['machine']}, {model['date'][:10]}"


def _entries(K: int) -> int:
    """Of a table of K codewords: fc_entries() of core/fc_ops.h."""
    entries = 16
    while entries < K:
        entries *= 2
    return entries


def _total(coefficients: Mapping[str, float], counts: Mapping[str, float]) -> float:
    return sum(coefficients.get(name, 0.0) * count for name, count in counts.items())
