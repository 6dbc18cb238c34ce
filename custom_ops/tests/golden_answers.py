"""What a QConv or QFC answers, in double precision, written from the text of the op contract alone."""

from __future__ import annotations

import numpy as np
from graph_builders import slow_decode

from qcnn_tflite.graph import find_q_layers, read_model
from qcnn_tflite.graph.qmodel import QLayer

_LIMITS = {0: (-np.inf, np.inf), 1: (0, np.inf), 2: (-1, 1), 3: (0, 6)}


def answer(data: bytes, x: np.ndarray) -> np.ndarray:
    """Output of a model that is one Q layer.

    Parameters
    ----------
    data : bytes
        The `.tflite`.
    x : ndarray, float32

    Returns
    -------
    ndarray, float64
    """
    (layer,) = find_q_layers(read_model(data))
    o, q = layer.options, layer.constants
    # The scale belongs to the sum, not to the weights.
    weights = slow_decode(_without_scale(q), o["in_channels"], layer.groups).astype(np.float64)
    sums = _conv(layer, weights, x) if layer.op == "QConv" else _fc(layer, weights, x)
    if q.scale is not None:
        sums = sums * q.scale
    if q.bias is not None:
        sums = sums + q.bias
    return np.clip(sums, *_LIMITS[o["activation"]])


def _without_scale(q):  # type: ignore[no-untyped-def]
    return type(q)(q.codebooks, q.codes, q.bias, None, q.codebook_scales)


def _fc(layer: QLayer, weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    o = layer.options
    rows = x.astype(np.float64).reshape(-1, o["in_channels"])
    out = rows @ weights.reshape(o["out_channels"], o["in_channels"]).T
    return out.reshape(*x.shape[:-1], -1) if o["keep_num_dims"] else out


def _conv(layer: QLayer, weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    o = layer.options
    pads, sizes = [(0, 0)], []
    for axis, (sides, side) in enumerate((("top bottom", "h"), ("left right", "w")), 1):
        size, stride = x.shape[axis], o[f"stride_{side}"]
        reach = (o[f"kernel_{side}"] - 1) * o[f"dilation_{side}"] + 1
        before, after = (o[f"pad_{s}"] for s in sides.split())
        if o["padding"] == 0:  # SAME: the odd pixel after
            out = -(-size // stride)
            total = max((out - 1) * stride + reach - size, 0)
            before, after = total // 2, total - total // 2
        pads.append((before, after))
        sizes.append((size + before + after - reach) // stride + 1)
    image = np.pad(x.astype(np.float64), [*pads, (0, 0)])
    outputs, depth = o["out_channels"], o["in_channels"] // layer.groups
    y = np.zeros((len(x), *sizes, outputs))
    for n, row, column, c in np.ndindex(*y.shape):
        first = c // (outputs // layer.groups) * depth
        top, left = row * o["stride_h"], column * o["stride_w"]
        for i in range(o["kernel_h"]):
            for j in range(o["kernel_w"]):
                pixel = image[n, top + i * o["dilation_h"], left + j * o["dilation_w"]]
                y[n, row, column, c] += pixel[first : first + depth] @ weights[c, i, j]
    return y
