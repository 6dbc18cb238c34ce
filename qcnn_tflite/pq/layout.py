"""How a layer's weights are cut into the blocks that one code each stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class BlockLayout:
    """Shape of a layer seen as blocks of `d` input channels at one kernel position.

    A group's weights are handled as a matrix of ``rows = M * P * d`` rows, ordered (subspace, kernel
    position, channel within the subspace), and one column per output of the group: all blocks of a
    subspace lie together. When `d` does not divide the channels, the last subspace is padded with
    rows that are zero in weights, inputs and Gram matrices.

    Parameters
    ----------
    out_channels : int
        C_t, all groups together.
    in_channels : int
        Input channels of one group.
    kernel : tuple of (int, int)
        Kernel height and width; (1, 1) for a fully-connected layer.
    groups : int
    d : int
        Length of a codeword (`dsub`).
    """

    out_channels: int
    in_channels: int
    kernel: tuple[int, int]
    groups: int
    d: int

    @property
    def M(self) -> int:
        """Subspaces of one group, ceil(in_channels / d)."""
        return -(-self.in_channels // self.d)

    @property
    def P(self) -> int:
        """Kernel positions."""
        return self.kernel[0] * self.kernel[1]

    @property
    def rows(self) -> int:
        """Rows of one group's matrix, padding included."""
        return self.M * self.P * self.d

    @property
    def group_outputs(self) -> int:
        """Outputs of one group."""
        return self.out_channels // self.groups

    @property
    def padded(self) -> bool:
        """Whether the last subspace holds channels that do not exist."""
        return self.M * self.d != self.in_channels

    def mask(self) -> FloatArray:
        """1 for a row that exists, 0 for padding: shape (M, 1, d, 1)."""
        exists = np.arange(self.M * self.d) < self.in_channels
        return exists.astype(np.float32).reshape(self.M, 1, self.d, 1)

    def split(self, weights: FloatArray) -> FloatArray:
        """Arrange weights as the groups' matrices.

        Parameters
        ----------
        weights : ndarray of shape (C_out, kH, kW, in_channels)

        Returns
        -------
        ndarray of shape (groups, rows, group_outputs), float32, C-contiguous
        """
        expected = (self.out_channels, *self.kernel, self.in_channels)
        if weights.shape != expected:
            raise ValueError(f"expected weights of shape {expected}, got {weights.shape}")
        w = weights.reshape(self.groups, self.group_outputs, self.P, self.in_channels)
        out = np.zeros((self.groups, self.M, self.P, self.d, self.group_outputs), np.float32)
        for m in range(self.M):
            part = w[..., m * self.d : (m + 1) * self.d]
            out[:, m, :, : part.shape[-1], :] = part.transpose(0, 2, 3, 1)
        return out.reshape(self.groups, self.rows, self.group_outputs)

    def join(self, matrices: FloatArray) -> FloatArray:
        """Inverse of `split`: (groups, rows, group_outputs) to (C_out, kH, kW, in_channels)."""
        w = matrices.reshape(self.groups, self.M, self.P, self.d, self.group_outputs)
        out = np.empty((self.groups, self.group_outputs, self.P, self.in_channels), np.float32)
        for m in range(self.M):
            channels = slice(m * self.d, min((m + 1) * self.d, self.in_channels))
            width = channels.stop - channels.start
            out[..., channels] = w[:, m, :, :width, :].transpose(0, 3, 1, 2)
        return out.reshape(self.out_channels, *self.kernel, self.in_channels)

    def split_inputs(self, patches: FloatArray) -> FloatArray:
        """Arrange im2col patches like the rows of `split`.

        Parameters
        ----------
        patches : ndarray of shape (n, P, groups * in_channels)

        Returns
        -------
        ndarray of shape (groups, n, rows)
        """
        n = patches.shape[0]
        x = patches.reshape(n, self.P, self.groups, self.in_channels)
        if self.padded:
            x = np.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.M * self.d - self.in_channels)))
        x = x.reshape(n, self.P, self.groups, self.M, self.d)
        return np.ascontiguousarray(x.transpose(2, 0, 3, 1, 4), np.float32).reshape(
            self.groups, n, self.rows
        )
