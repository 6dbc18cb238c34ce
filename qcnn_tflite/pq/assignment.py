"""Nearest codewords in a block's own metric, and the codewords that suit given assignments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .layout import FloatArray


@dataclass
class Block:
    """Targets of one block (one subspace at one kernel position) for all outputs of a group.

    Parameters
    ----------
    target : ndarray of shape (d, outputs)
    metric : ndarray of shape (d, d)
    scale : ndarray of shape (outputs,)
        Positive.
    mask : ndarray of shape (d,)
        0 where the last subspace is padded.
    """

    target: FloatArray
    metric: FloatArray
    scale: FloatArray
    mask: FloatArray

    def nearest(self, codebook: FloatArray) -> NDArray[np.uint8]:
        """argmin_k ``(u_o − s_o c_k)ᵀ A (u_o − s_o c_k)``, shape (outputs,)."""
        words = codebook * self.mask
        moved = words @ self.metric  # (K, d)
        norms = np.einsum("kd,kd->k", moved, words)
        # Over s², less what k does not change: ‖c_k‖² − 2 ⟨u / s, c_k⟩, as one product.
        left = np.vstack([self.target * (-2 / self.scale), np.ones_like(self.scale)])
        distance = left.T @ np.column_stack([moved, norms]).T
        return distance.argmin(axis=1).astype(np.uint8)


def refine(blocks: list[Block], codebook: FloatArray, iterations: int) -> FloatArray:
    """Lloyd's iterations on blocks that share a codebook, each with a metric of its own.

    A codeword's update solves ``Σ_b A_b (Σ_o s² [code = k]) c_k = Σ_b A_b Σ_o s u_o [code = k]``.

    Parameters
    ----------
    blocks : list of Block
    codebook : ndarray of shape (K, d)
    iterations : int

    Returns
    -------
    ndarray of shape (K, d)
        Codewords that no block uses keep their value.
    """
    K, d = codebook.shape
    codebook = codebook.copy()
    for _ in range(iterations):
        normal = np.zeros((K, d, d))
        rhs = np.zeros((K, d))
        for block in blocks:
            codes = block.nearest(codebook)
            count = np.bincount(codes, np.square(block.scale), minlength=K)
            sums = np.stack(
                [np.bincount(codes, block.scale * u, minlength=K) for u in block.target], axis=1
            )
            normal += count[:, None, None] * block.metric
            rhs += sums @ block.metric
        used = np.flatnonzero(normal[:, 0, 0] > 0)
        if not len(used):
            break
        codebook[used] = np.linalg.solve(normal[used], rhs[used, :, None])[..., 0]
    return codebook
