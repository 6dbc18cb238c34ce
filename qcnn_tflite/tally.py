"""Hits and differences, added up over images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Interval = tuple[float, float]

_CONFIDENCE = 0.95


def interval(hits: int, count: int) -> Interval:
    """The 95 % interval of a share (Wilson, 1927)."""
    from scipy.stats import binomtest

    found = binomtest(hits, count).proportion_ci(_CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


class Tally:
    """Counts of a model on images, and of a reference on the same ones.

    Attributes
    ----------
    images : int
    hits, reference_hits : list of int
        Images whose label is the first class, and among the first five.
    agreed : int
        Images on which both name the same class first.
    changed : int
        Images on which exactly one of the two is right.
    difference, energy : float
        Σ‖output - reference output‖², Σ‖reference output‖².
    unreadable : list of str
        Images that are left out.
    """

    def __init__(self) -> None:
        self.images = 0
        self.hits = [0, 0]
        self.reference_hits = [0, 0]
        self.agreed = 0
        self.changed = 0
        self.difference = 0.0
        self.energy = 0.0
        self.unreadable: list[str] = []

    def add(
        self,
        outputs: FloatArray,
        reference: FloatArray | None,
        labels: NDArray[np.int64] | None,
    ) -> None:
        """Add a batch.

        Parameters
        ----------
        outputs, reference : ndarray of shape (n, classes)
        labels : ndarray of shape (n,) or None
        """
        self.images += len(outputs)
        top = _top5(outputs)
        _count(self.hits, top, labels)
        if reference is None:
            return
        reference_top = _top5(reference)
        _count(self.reference_hits, reference_top, labels)
        self.agreed += int((top[:, 0] == reference_top[:, 0]).sum())
        if labels is not None:
            right, reference_right = top[:, 0] == labels, reference_top[:, 0] == labels
            self.changed += int((right != reference_right).sum())
        self.difference += float(np.square(outputs - reference, dtype=np.float64).sum())
        self.energy += float(np.square(reference, dtype=np.float64).sum())

    def merge(self, other: Tally) -> None:
        """Add the counts of further images."""
        for name, value in vars(other).items():
            mine = getattr(self, name)
            if name in ("hits", "reference_hits"):
                value = [a + b for a, b in zip(mine, value, strict=True)]
                setattr(self, name, value)
            else:
                setattr(self, name, mine + value)

    def state(self) -> dict[str, Any]:
        """Fit for JSON."""
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Tally:
        """What `state` gave.

        Raises
        ------
        ValueError
            If it did not.
        """
        found = cls()
        for name, value in vars(found).items():
            if type(state.get(name)) is not type(value):
                raise ValueError(f"{name} is missing")
            setattr(found, name, state[name])
        return found


def _count(hits: list[int], top: NDArray[np.int64], labels: NDArray[np.int64] | None) -> None:
    if labels is None:
        return
    found = top == labels[:, None]
    hits[0] += int(found[:, 0].sum())
    hits[1] += int(found.any(axis=1).sum())


def _top5(outputs: FloatArray) -> NDArray[np.int64]:
    return np.argsort(-outputs, axis=1, kind="stable")[:, :5]
