"""The quadratic that error correction minimises, and its residual.

For one group, ``‖Ŵᵀ S − T‖² + λ ‖Ŵ − W‖²``: the distance of Ŵ to ``W* = H_λ⁻¹ (G + λ W)`` in the
metric ``H_λ = H + λ I``, up to a constant. W* is never formed; what is kept is the residual
``R = G + λ W − H_λ Ŵ = H_λ (W* − Ŵ)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from .layout import FloatArray
from .statistics import ResponseStatistics


class Objective(ABC):
    """One group's quadratic at the current weights.

    Parameters
    ----------
    statistics : ResponseStatistics
    group : int
    weights : ndarray of shape (rows, outputs)
        The float weights W.
    damping : float
        λ relative to the mean of the diagonal of H.

    Attributes
    ----------
    current : ndarray of shape (rows, outputs)
        Ŵ; starts as W. Change it through `move` and `step` only.
    """

    def __init__(
        self, statistics: ResponseStatistics, group: int, weights: FloatArray, damping: float
    ) -> None:
        self.float_weights = weights
        self.current = weights.copy()
        # A layer whose inputs never vary has H = 0; any positive λ then means weight-space PQ.
        power = statistics.mean_power(group)
        self.ridge = np.float32(damping * power) if power > 0 else np.float32(1)
        self.power = float(statistics.target_power[group].sum(dtype=np.float64))

    @staticmethod
    def of(
        statistics: ResponseStatistics, group: int, weights: FloatArray, damping: float
    ) -> Objective:
        """The form that the statistics come in."""
        form = GramObjective if statistics.gram is not None else SampleObjective
        return form(statistics, group, weights, damping)

    @abstractmethod
    def metric(self, rows: slice) -> FloatArray:
        """H_λ restricted to `rows`, shape (r, r)."""

    @abstractmethod
    def diagonal(self) -> FloatArray:
        """Diagonal of H_λ, shape (rows,)."""

    @abstractmethod
    def dense(self) -> FloatArray:
        """H_λ as a new array of shape (rows, rows)."""

    @abstractmethod
    def residual(self, rows: slice) -> FloatArray:
        """`rows` of R as a new array, shape (r, outputs)."""

    @abstractmethod
    def move(self, rows: slice, delta: FloatArray) -> None:
        """Add `delta`, shape (r, outputs), to `rows` of the current weights."""

    @abstractmethod
    def curvature(self, direction: FloatArray) -> tuple[float, FloatArray]:
        """``⟨D, H_λ D⟩`` and what `step` needs, for a direction of shape (rows, outputs)."""

    @abstractmethod
    def step(self, length: float, direction: FloatArray, image: FloatArray) -> None:
        """Add ``length * direction``; `image` is what `curvature` returned for it."""

    @abstractmethod
    def value(self) -> float:
        """The quadratic at the current weights (float64 sums of float32 products)."""

    def _penalty(self) -> float:
        return float(self.ridge) * float(
            np.square(self.current - self.float_weights).sum(dtype=np.float64)
        )


class GramObjective(Objective):
    """Keeps R; for layers with at least as many samples as rows."""

    def __init__(
        self, statistics: ResponseStatistics, group: int, weights: FloatArray, damping: float
    ) -> None:
        super().__init__(statistics, group, weights, damping)
        assert statistics.gram is not None and statistics.cross is not None
        self._gram = statistics.gram[group]
        self._cross = statistics.cross[group]
        self._residual = self._cross - self._gram @ weights

    def metric(self, rows: slice) -> FloatArray:
        block = self._gram[rows, rows].copy()
        block.flat[:: len(block) + 1] += self.ridge
        return block

    def diagonal(self) -> FloatArray:
        return np.diagonal(self._gram) + self.ridge

    def dense(self) -> FloatArray:
        return self.metric(slice(0, len(self._gram)))

    def residual(self, rows: slice) -> FloatArray:
        return self._residual[rows].copy()

    def move(self, rows: slice, delta: FloatArray) -> None:
        self.current[rows] += delta
        self._residual -= self._gram[:, rows] @ delta
        self._residual[rows] -= self.ridge * delta

    def curvature(self, direction: FloatArray) -> tuple[float, FloatArray]:
        image = self._gram @ direction
        image += self.ridge * direction
        return float(np.vdot(direction, image)), image

    def step(self, length: float, direction: FloatArray, image: FloatArray) -> None:
        self.current += np.float32(length) * direction
        self._residual -= np.float32(length) * image

    def value(self) -> float:
        response = self._gram @ self.current
        return (
            float(np.vdot(self.current.astype(np.float64), response - 2 * self._cross))
            + self.power
            + self._penalty()
        )


class SampleObjective(Objective):
    """Keeps the error of the responses, ``E = T − Ŵᵀ S``; for layers with few samples."""

    def __init__(
        self, statistics: ResponseStatistics, group: int, weights: FloatArray, damping: float
    ) -> None:
        super().__init__(statistics, group, weights, damping)
        assert statistics.inputs is not None and statistics.targets is not None
        self._inputs = statistics.inputs[group]
        self._error = statistics.targets[group] - self._inputs @ weights

    def metric(self, rows: slice) -> FloatArray:
        part = self._inputs[:, rows]
        block = part.T @ part
        block.flat[:: len(block) + 1] += self.ridge
        return block

    def diagonal(self) -> FloatArray:
        return np.square(self._inputs).sum(axis=0) + self.ridge

    def dense(self) -> FloatArray:
        return self.metric(slice(0, self._inputs.shape[1]))

    def residual(self, rows: slice) -> FloatArray:
        out = self._inputs[:, rows].T @ self._error
        out += self.ridge * (self.float_weights[rows] - self.current[rows])
        return out

    def move(self, rows: slice, delta: FloatArray) -> None:
        self.current[rows] += delta
        self._error -= self._inputs[:, rows] @ delta

    def curvature(self, direction: FloatArray) -> tuple[float, FloatArray]:
        image = self._inputs @ direction
        penalty = float(self.ridge) * float(np.vdot(direction, direction))
        return float(np.vdot(image, image)) + penalty, image

    def step(self, length: float, direction: FloatArray, image: FloatArray) -> None:
        self.current += np.float32(length) * direction
        self._error -= np.float32(length) * image

    def value(self) -> float:
        return float(np.square(self._error).sum(dtype=np.float64)) + self._penalty()
