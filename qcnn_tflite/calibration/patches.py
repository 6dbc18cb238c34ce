"""im2col at sampled positions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def output_size(size: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> int:
    """Output positions along one axis, from the padded input (explicit padding)."""
    return (size + before + after - (kernel - 1) * dilation - 1) // stride + 1


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """TFLite's SAME padding along one axis: (before, after), the odd pixel after."""
    out = -(-size // stride)
    total = max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def gather_patches(
    images: FloatArray,
    positions: NDArray[np.int64],
    *,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    pads: tuple[int, int, int, int],
) -> FloatArray:
    """The inputs that a convolution reads at given output positions.

    Parameters
    ----------
    images : ndarray of shape (n, H, W, C)
    positions : ndarray of shape (n, k)
        Flat indices (row-major) into the output positions, for each image its own.
    kernel, stride, dilation : tuple of (int, int)
        Height, width.
    pads : tuple of int
        Top, bottom, left, right.

    Returns
    -------
    ndarray of shape (n * k, kH * kW, C)
    """
    n, _, width, channels = images.shape
    top, bottom, left, right = pads
    if any(pads):
        images = np.pad(images, ((0, 0), (top, bottom), (left, right), (0, 0)))
    out_width = output_size(width, kernel[1], stride[1], dilation[1], left, right)
    rows, columns = np.divmod(positions, out_width)
    image = np.arange(n)[:, None]
    out = np.empty((*positions.shape, kernel[0] * kernel[1], channels), np.float32)
    for p, (y, x) in enumerate(np.ndindex(*kernel)):
        out[:, :, p] = images[
            image, rows * stride[0] + y * dilation[0], columns * stride[1] + x * dilation[1]
        ]
    return out.reshape(-1, kernel[0] * kernel[1], channels)
