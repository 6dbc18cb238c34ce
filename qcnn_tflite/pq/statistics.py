"""What error correction needs to know of a layer's inputs and targets: second moments.

With S the inputs on the quantized path and T the targets from the float network, both centred,
``H = S Sᵀ`` and ``G = S Tᵀ``. Centring stands for the constant-1 input row of Q-CNN: minimising over
a free bias and minimising over centred variables is the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from .layout import FloatArray


@dataclass
class ResponseStatistics:
    """Centred second moments of one layer.

    Either the Gram form (`gram`, `cross`) or, when there are fewer samples than rows, the samples
    themselves (`inputs`, `targets`), which are then both smaller and faster.

    Parameters
    ----------
    count : int
        Samples (images times sampled positions).
    input_mean : ndarray of shape (groups, rows)
    target_mean : ndarray of shape (groups, group_outputs)
    target_power : ndarray of shape (groups, group_outputs)
        Sum of squares of the centred targets.
    gram : ndarray of shape (groups, rows, rows) or None
    cross : ndarray of shape (groups, rows, group_outputs) or None
    inputs : ndarray of shape (groups, count, rows) or None
        Centred.
    targets : ndarray of shape (groups, count, group_outputs) or None
        Centred.
    """

    count: int
    input_mean: FloatArray
    target_mean: FloatArray
    target_power: FloatArray
    gram: FloatArray | None = None
    cross: FloatArray | None = None
    inputs: FloatArray | None = None
    targets: FloatArray | None = None

    @property
    def groups(self) -> int:
        return len(self.input_mean)

    def mean_power(self, group: int) -> float:
        """Mean of the diagonal of the group's Gram matrix: what a damping is relative to."""
        if self.gram is not None:
            return float(np.einsum("ii->i", self.gram[group]).mean())
        assert self.inputs is not None
        return float(np.square(self.inputs[group]).sum() / self.inputs.shape[2])

    def of_outputs(self, columns: NDArray[np.int64]) -> ResponseStatistics:
        """The same inputs, and only some outputs of each group.

        Parameters
        ----------
        columns : ndarray of shape (n,)
            Output indices within a group.
        """
        return replace(
            self,
            target_mean=self.target_mean[:, columns],
            target_power=self.target_power[:, columns],
            cross=None if self.cross is None else self.cross[:, :, columns],
            targets=None if self.targets is None else self.targets[:, :, columns],
        )

    def second_moments(
        self, group: int, weights: FloatArray
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Power of the responses ``Y = weightsᵀ S`` and their product with the targets.

        Parameters
        ----------
        weights : ndarray of shape (rows, group_outputs)

        Returns
        -------
        power, product : ndarray of shape (group_outputs,)
            ``sum Y²`` and ``sum Y T`` of each output, centred.
        """
        if self.gram is not None and self.cross is not None:
            power = np.einsum("ro,ro->o", weights, self.gram[group] @ weights)
            product = np.einsum("ro,ro->o", weights, self.cross[group])
        else:
            assert self.inputs is not None and self.targets is not None
            response = self.inputs[group] @ weights
            power = np.einsum("no,no->o", response, response)
            product = np.einsum("no,no->o", response, self.targets[group])
        return np.maximum(power.astype(np.float64), 0), product.astype(np.float64)

    def relative_error(self, weights: FloatArray) -> float:
        """Squared error of the responses over the power of the targets, bias refitted.

        Parameters
        ----------
        weights : ndarray of shape (groups, rows, group_outputs)
        """
        error = 0.0
        for group in range(self.groups):
            power, product = self.second_moments(group, weights[group])
            error += float((power - 2 * product + self.target_power[group]).sum())
        return max(error, 0.0) / max(float(self.target_power.sum(dtype=np.float64)), 1e-30)


class StatisticsBuilder:
    """Adds up `ResponseStatistics` chunk by chunk.

    Parameters
    ----------
    groups, rows, group_outputs : int
    expected : int
        Number of samples to come; decides between the two forms.
    """

    def __init__(self, groups: int, rows: int, group_outputs: int, expected: int) -> None:
        self._keep_samples = expected <= rows
        self._shape = (groups, rows, group_outputs)
        self._count = 0
        self._input_sum = np.zeros((groups, rows))
        self._target_sum = np.zeros((groups, group_outputs))
        # Sums are taken around the first chunk's mean: float32 Gram matrices of inputs far from
        # zero would otherwise lose their digits when the mean is taken off at the end.
        self._input_shift: FloatArray | None = None
        self._target_shift: FloatArray | None = None
        if self._keep_samples:
            self._inputs: list[FloatArray] = []
            self._targets: list[FloatArray] = []
        else:
            self._gram = [np.zeros((rows, rows), np.float32, order="F") for _ in range(groups)]
            self._cross = np.zeros((groups, rows, group_outputs), np.float32)
            self._power = np.zeros((groups, group_outputs))

    def add(self, inputs: FloatArray, targets: FloatArray) -> None:
        """Add samples.

        Parameters
        ----------
        inputs : ndarray of shape (groups, n, rows)
            Inputs on the quantized path, as `BlockLayout.split_inputs` arranges them.
        targets : ndarray of shape (groups, n, group_outputs)
            The float network's responses before bias and activation (a bias cancels).
        """
        if not len(inputs[0]):
            return
        if self._input_shift is None or self._target_shift is None:
            self._input_shift = inputs.mean(axis=1, keepdims=True)
            self._target_shift = targets.mean(axis=1, keepdims=True)
        x = inputs - self._input_shift
        t = targets - self._target_shift
        self._count += x.shape[1]
        self._input_sum += x.sum(axis=1, dtype=np.float64)
        self._target_sum += t.sum(axis=1, dtype=np.float64)
        if self._keep_samples:
            self._inputs.append(x)
            self._targets.append(t)
            return
        self._power += np.square(t).sum(axis=1, dtype=np.float64)
        for g, gram in enumerate(self._gram):
            # x[g] is C-ordered (n, rows): to BLAS its transpose, so this adds xᵀx into one triangle.
            blas.ssyrk(1.0, x[g].T, beta=1.0, c=gram, overwrite_c=1)
            self._cross[g] += x[g].T @ t[g]

    def finish(self) -> ResponseStatistics:
        """Centre what was added. The builder is used up."""
        groups, rows, _ = self._shape
        if self._input_shift is None or self._target_shift is None:
            raise ValueError("no samples were added")
        n = self._count
        x_mean = (self._input_sum / n).astype(np.float32)
        t_mean = (self._target_sum / n).astype(np.float32)
        means = (x_mean + self._input_shift[:, 0], t_mean + self._target_shift[:, 0])
        if self._keep_samples:
            x = np.concatenate(self._inputs, axis=1)
            t = np.concatenate(self._targets, axis=1)
            self._inputs.clear()
            self._targets.clear()
            x -= x_mean[:, None]
            t -= t_mean[:, None]
            power = np.square(t).sum(axis=1)
            return ResponseStatistics(n, *means, power, inputs=x, targets=t)
        gram = np.empty((groups, rows, rows), np.float32)
        for g in range(groups):
            upper = np.triu(self._gram[g])
            self._gram[g] = np.empty((0, 0), np.float32)
            upper -= n * np.triu(np.outer(x_mean[g], x_mean[g]))
            gram[g] = upper
            gram[g] += np.triu(upper, 1).T
            self._cross[g] -= n * np.outer(x_mean[g], t_mean[g])
        power = (self._power - n * np.square(t_mean, dtype=np.float64)).astype(np.float32)
        return ResponseStatistics(n, *means, np.maximum(power, 0), gram=gram, cross=self._cross)
