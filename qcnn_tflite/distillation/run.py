"""How far a distillation has come, and the best state on the way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..agreement import Agreement
from .network import DistilledNetwork

FloatArray = NDArray[np.float32]


class Run:
    """Progress of a training.

    Parameters
    ----------
    network : DistilledNetwork
    """

    def __init__(self, network: DistilledNetwork) -> None:
        self._network = network
        self.step = 0
        self.best_step = 0
        self.varied = False
        self.first = self.best = Agreement(0, 0.0, 0.0, np.inf, 0.0)
        self.history: list[tuple[float, float, float]] = []
        self.constants = network.constants()
        self.floats = network.float_constants()

    def begin(self, found: Agreement) -> None:
        """The judgement before the first step."""
        self.first = self.best = found
        self.history.append((0.0, found.kl, found.top1))

    def keep(self, found: Agreement, steps: int) -> None:
        """Note a judgement, and the present state if it is the best by KL divergence."""
        self.history.append((self.step / steps, found.kl, found.top1))
        if found.kl < self.best.kl:
            self.best, self.best_step = found, self.step
            self.constants = self._network.constants()
            self.floats = self._network.float_constants()
