"""Streams a layer's inputs and targets into the statistics that learning needs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..graph import Layer
from ..pq import BlockLayout, ResponseStatistics, StatisticsBuilder
from .memory import sampled_positions
from .network import PairedNetwork, Replacements
from .patches import gather_patches, output_size, same_padding

FloatArray = NDArray[np.float32]

_CHUNK_BYTES = 192 << 20


def collect_statistics(
    network: PairedNetwork,
    layer: Layer,
    weights: FloatArray,
    layout: BlockLayout,
    replaced: Replacements,
    *,
    held_out: NDArray[np.bool_],
    positions_per_image: int,
    random_state: int,
    progress: Callable[[int], None] | None = None,
) -> tuple[ResponseStatistics, ResponseStatistics | None]:
    """Statistics of one layer: inputs from the quantized path, targets from the float network.

    Parameters
    ----------
    network : PairedNetwork
    layer : Layer
    weights : ndarray of shape (C_out, kH, kW, C_in / groups)
        The float weights.
    layout : BlockLayout
    replaced : mapping
        Layers learned so far.
    held_out : ndarray of shape (network.count,), bool
        Images for the second result.
    positions_per_image : int
    random_state : int
        Chooses the positions.
    progress : callable or None
        Called with the number of images just done.

    Returns
    -------
    train, held_out : ResponseStatistics
        The second is None when no image is held out.
    """
    matrices = layout.split(weights)
    rng = np.random.default_rng(random_state)
    builders: list[StatisticsBuilder] = []
    tensor, op = layer.input, layer.op_index if layer.pad_op is None else layer.pad_op
    for images, (floats,), (quantized,) in network.stream(op, [tensor], replaced):
        n, total = len(floats), _position_count(floats, layer)
        if not builders:
            sets = [int((~held_out).sum()), int(held_out.sum())]
            k = sampled_positions(layout, total, sets[0], positions_per_image)
            builders = [
                StatisticsBuilder(layout.groups, layout.rows, layout.group_outputs, count * k)
                for count in sets
            ]
        positions = _positions(rng, n, total, k)
        step = max(1, _CHUNK_BYTES // (4 * k * layout.rows * layout.groups))
        for start in range(0, n, step):
            part = slice(start, min(start + step, n))
            seen = _inputs(floats[part], positions[part], layer, layout)
            targets = np.stack([x @ w for x, w in zip(seen, matrices, strict=True)])
            if quantized is not floats:
                seen = _inputs(quantized[part], positions[part], layer, layout)
            apart = np.repeat(held_out[images][part], k)
            for builder, chosen in zip(builders, (~apart, apart), strict=True):
                builder.add(seen[:, chosen], targets[:, chosen])
        if progress is not None:
            progress(n)
    train, judge = builders
    return train.finish(), judge.finish() if held_out.any() else None


def _pads(layer: Layer, height: int, width: int) -> tuple[int, int, int, int]:
    """Top, bottom, left, right that the layer adds to an input of this size."""
    if layer.pad_op is not None or layer.padding == "VALID":
        return layer.pads
    vertical = same_padding(height, layer.kernel[0], layer.stride[0], layer.dilation[0])
    horizontal = same_padding(width, layer.kernel[1], layer.stride[1], layer.dilation[1])
    return *vertical, *horizontal


def _position_count(images: FloatArray, layer: Layer) -> int:
    """Output positions of one image; rows of one image for a fully-connected layer."""
    if layer.kind == "fc":
        return int(images[0].size // layer.in_channels)
    height, width = images.shape[1:3]
    pads = _pads(layer, height, width)
    (kh, kw), (sh, sw), (dh, dw) = layer.kernel, layer.stride, layer.dilation
    return output_size(height, kh, sh, dh, *pads[:2]) * output_size(width, kw, sw, dw, *pads[2:])


def _positions(rng: np.random.Generator, n: int, total: int, k: int) -> NDArray[np.int64]:
    """`k` of `total` positions for each of n images, without repetition, ascending."""
    if k == total:
        return np.broadcast_to(np.arange(total), (n, total))
    keys = rng.random((n, total), dtype=np.float32)
    return np.sort(np.argpartition(keys, k, axis=1)[:, :k], axis=1)


def _inputs(
    images: FloatArray, positions: NDArray[np.int64], layer: Layer, layout: BlockLayout
) -> FloatArray:
    """Rows that the layer multiplies with its weights, shape (groups, n * k, rows)."""
    if layer.kind == "fc":
        rows = images.reshape(len(images), -1, layer.in_channels)
        picked = np.take_along_axis(rows, positions[:, :, None], axis=1)
        return layout.split_inputs(picked.reshape(-1, 1, layer.in_channels))
    patches = gather_patches(
        images,
        positions,
        kernel=layer.kernel,
        stride=layer.stride,
        dilation=layer.dilation,
        pads=_pads(layer, *images.shape[1:3]),
    )
    return layout.split_inputs(patches)
