"""Codebooks, codes and the weights that they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .layout import BlockLayout, FloatArray


@dataclass
class ProductCode:
    """A layer's codebooks and codes, while they are being learned.

    Parameters
    ----------
    layout : BlockLayout
    codebooks : ndarray of shape (m, K, d)
        m = 1: one for all subspaces; m = M: one per subspace, shared by the groups;
        m = groups * M: group g, subspace j at g * M + j.
    codes : ndarray of shape (groups, M, P, group_outputs), uint8
    scale : ndarray of shape (groups, group_outputs)
        Factor of each output; the decoded weights are scale * codeword. Ones when unused.
    """

    layout: BlockLayout
    codebooks: FloatArray
    codes: NDArray[np.uint8]
    scale: FloatArray

    @property
    def K(self) -> int:
        """Codewords of a codebook (`ksub`)."""
        return int(self.codebooks.shape[1])

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """Index of the codebook that subspace m of group g uses, shape (groups, M)."""
        g, m = np.indices((self.layout.groups, self.layout.M))
        count = len(self.codebooks)
        if count == 1:
            return np.zeros_like(g)
        if count == self.layout.M:
            return m
        return g * self.layout.M + m

    def slots(self, group: int) -> NDArray[np.int64]:
        """Row in ``codebooks.reshape(-1, d)`` of each block of a group, shape (M, P, outputs)."""
        return self.owner[group][:, None, None] * self.K + self.codes[group].astype(np.int64)

    def spread(self, group: int, codebooks: FloatArray) -> FloatArray:
        """Weights of one group that `codebooks` (any values, shape as ours) decode to.

        Linear in `codebooks`; the scale is applied. Returns shape (rows, group_outputs).
        """
        layout = self.layout
        slots = self.slots(group)
        out = np.empty((layout.M, layout.P, layout.d, layout.group_outputs), np.float32)
        for j in range(layout.d):
            np.take(np.ascontiguousarray(codebooks[..., j]).ravel(), slots, out=out[:, :, j, :])
        if layout.padded:
            out *= layout.mask()
        out *= self.scale[group]
        return out.reshape(layout.rows, layout.group_outputs)

    def collect(self, group: int, matrix: FloatArray) -> NDArray[np.float64]:
        """Adjoint of `spread`: sums a group's matrix over the blocks that share a codeword.

        Parameters
        ----------
        matrix : ndarray of shape (rows, group_outputs)

        Returns
        -------
        ndarray of shape (m, K, d)
        """
        layout = self.layout
        slots = self.slots(group).ravel()
        cells = matrix.reshape(layout.M, layout.P, layout.d, layout.group_outputs)
        total = np.empty((self.codebooks.shape[0] * self.K, layout.d))
        mask = layout.mask()
        for j in range(layout.d):
            part = cells[:, :, j, :] * (self.scale[group] * mask[:, :, j])
            total[:, j] = np.bincount(slots, part.ravel(), minlength=len(total))
        return total.reshape(self.codebooks.shape)

    def decode(self, group: int) -> FloatArray:
        """The group's weights, scale applied, shape (rows, group_outputs)."""
        return self.spread(group, self.codebooks)

    def matrices(self) -> FloatArray:
        """All groups' weights, scale applied, shape (groups, rows, group_outputs)."""
        return np.stack([self.decode(g) for g in range(self.layout.groups)])

    def weights(self) -> FloatArray:
        """Decoded weights with the scale applied, shape (C_out, kH, kW, in_channels)."""
        return self.layout.join(self.matrices())

    def contract_codes(self) -> NDArray[np.uint8]:
        """Codes in the order of the op contract, shape (M, C_out, kH, kW)."""
        layout = self.layout
        return np.ascontiguousarray(self.codes.transpose(1, 0, 3, 2)).reshape(
            layout.M, layout.out_channels, *layout.kernel
        )
