"""Codes that move: a latent weight behind each block, trained straight through the quantizer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .adam import RelativeAdam
from .student import QuantizedStudent
from .tensorflow import tensorflow

FloatArray = NDArray[np.float32]


class LatentBlocks:
    """A layer's blocks before quantization.

    They begin at their codewords, so that nothing changes at first, and follow the gradient that
    reaches the quantized blocks (Bengio et al. 2013). `reassign` gives each block the codeword nearest to it
    in the metric of the layer's inputs.

    Parameters
    ----------
    student : QuantizedStudent
    metric : ndarray of shape (M, d, d), float64
        Second moments of the inputs of each subspace.
    """

    def __init__(self, student: QuantizedStudent, metric: NDArray[np.float64]) -> None:
        tf = tensorflow()
        self._student = student
        self.blocks = tf.Variable(student.blocks(), trainable=False)
        size = student.block_size.astype(np.float32)[:, None, None, :, None]
        self.adam = RelativeAdam(self.blocks, size)
        self._factors = [_factor(h) for h in metric]

    def reassign(self) -> int:
        """Nearest codewords anew; returns how many codes changed."""
        student = self._student
        latent = self.blocks.numpy()
        codes = student.codes.copy()
        books = student.words.numpy().reshape(student.books_shape)
        owner = student.owner
        for m in range(len(codes)):
            factor = self._factors[m]
            for c in np.unique(owner[:, m]):
                rows = owner[:, m] == c
                u = latent[rows, :, :, m, :] @ factor
                words = books[c] @ factor
                flat = u.reshape(-1, u.shape[-1])
                distance = (words * words).sum(axis=1) - 2 * (flat @ words.T)
                codes[m, rows] = distance.argmin(axis=1).reshape(u.shape[:-1])
        changed = codes != student.codes
        student.assign(codes)
        return int(changed.sum())


def _factor(moments: NDArray[np.float64]) -> FloatArray:
    """L with L Lᵀ = moments and a ridge, which keeps dead inputs from making all codewords equal."""
    d = len(moments)
    ridge = 1e-2 * float(np.trace(moments)) / d + 1e-30
    values, vectors = np.linalg.eigh(moments + ridge * np.eye(d))
    return (vectors * np.sqrt(np.maximum(values, 0))).astype(np.float32)
