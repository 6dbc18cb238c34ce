"""How far a network's outputs are from those of the float network; no labels needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

# Probabilities below this are float32's noise; a logarithm wants something above 0.
_TINY = 1e-12


@dataclass(frozen=True)
class Agreement:
    """Means over images; shares in [0, 1].

    Attributes
    ----------
    images : int
    top1 : float
        Share of the images on which both networks name the same class first.
    top5 : float
        Share of the images on which the float network's first class is among the other's first five.
    kl : float
        Kullback-Leibler divergence in nats of the network's probabilities from the float network's,
        Σ p log(p / q) with the float network's p.
    estimated_top5_drop : float
        Points (percent) of top-5 accuracy lost if labels were drawn from the float network's own
        probabilities: 100 · (p of the float network's five first classes - p of the other's), summed
        over the five. Never negative. As good as the float network's probabilities are calibrated.
    """

    images: int
    top1: float
    top5: float
    kl: float
    estimated_top5_drop: float

    def __str__(self) -> str:
        return (
            f"same first class {self.top1:.2%}, float's first class among the first five "
            f"{self.top5:.2%}, KL {self.kl:.4f}, estimated top-5 drop "
            f"{self.estimated_top5_drop:.2f} points"
        )


class AgreementSum:
    """Adds images up, batch by batch.

    Parameters
    ----------
    probabilities : bool
        Whether the outputs are probabilities already, not logits.
    """

    def __init__(self, *, probabilities: bool) -> None:
        self.images = 0
        self._probabilities = probabilities
        self._sums = np.zeros(4)

    def add(self, floats: FloatArray, others: FloatArray) -> NDArray[np.float64]:
        """Add a batch.

        Parameters
        ----------
        floats, others : ndarray of shape (n, classes)
            Outputs of the float network and of the other one.

        Returns
        -------
        ndarray of shape (n,)
            KL divergence of each image; infinite where the other output is not finite.
        """
        log_p = _log_probabilities(floats, self._probabilities)
        log_q = _log_probabilities(others, self._probabilities)
        p = np.exp(log_p)
        kl = np.maximum((p * (log_p - log_q)).sum(axis=1), 0)
        broken = ~np.isfinite(others).all(axis=1)
        kl[broken] = np.inf
        mine, other = top_classes(floats), top_classes(np.nan_to_num(others))
        lost = np.take_along_axis(p, mine, 1).sum(axis=1)
        lost -= np.take_along_axis(p, other, 1).sum(axis=1)
        self._sums += (
            (mine[:, 0] == other[:, 0]).sum(),
            (other == mine[:, :1]).any(axis=1).sum(),
            kl.sum(),
            np.maximum(lost, 0).sum(),
        )
        self.images += len(floats)
        return kl

    def finish(self) -> Agreement:
        """The means."""
        top1, top5, kl, lost = (float(v) for v in self._sums / max(1, self.images))
        return Agreement(self.images, top1, top5, kl, 100 * lost)


def top_classes(outputs: FloatArray, count: int = 5) -> NDArray[np.int64]:
    """The `count` first classes of each row (all, if there are fewer), the first one first."""
    return np.argsort(-outputs, axis=1, kind="stable")[:, :count]


def are_probabilities(outputs: FloatArray) -> bool:
    """Whether every row is non-negative and sums to 1: a softmax has been applied."""
    sums = outputs.sum(axis=1, dtype=np.float64)
    return bool(outputs.min() >= 0 and np.abs(sums - 1).max() < 1e-3)


def _log_probabilities(outputs: FloatArray, probabilities: bool) -> NDArray[np.float64]:
    values = outputs.astype(np.float64)
    if probabilities:
        return np.log(np.maximum(values, _TINY))
    values = np.nan_to_num(values)
    values -= values.max(axis=1, keepdims=True)
    return values - np.log(np.exp(values).sum(axis=1, keepdims=True))
