"""From measured options to a choice: one candidate for every layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from ..errors import ConfigError
from .candidates import Candidate
from .knapsack import Array, choose
from .request import Budget
from .sensitivity import LayerOptions

# Without a limit on the size, choices whose estimated loss is at most this much above the least are
# as good, and the smallest of them is taken.
_SLACK = 1.25
_FRONT_POINTS = 24


@dataclass(frozen=True)
class Choice:
    """One candidate for every layer, and what all of them together are estimated at.

    Attributes
    ----------
    candidates : list of Candidate
        In the order of the options.
    size : float
        Bytes of the file.
    ops, float_ops : int
        Theoretical operations of these layers, after and before.
    ms, float_ms : float
        Predicted times of these layers; NaN without a cost model.
    kl, drop : float
        Sums over the layers: KL divergence of the output, and estimated top-5 drop in points.
    """

    candidates: list[Candidate]
    size: float
    ops: int
    float_ops: int
    ms: float
    float_ms: float
    kl: float
    drop: float

    @property
    def speedup(self) -> float:
        return self.float_ms / self.ms

    @property
    def theoretical_speedup(self) -> float:
        return self.float_ops / self.ops


class Search:
    """Chooses within a budget; every question is a knapsack over the same options.

    Parameters
    ----------
    options : sequence of LayerOptions
    fixed : float
        Bytes of the file that no choice changes.
    """

    def __init__(self, options: Sequence[LayerOptions], fixed: float) -> None:
        self.options = list(options)
        self.fixed = fixed
        self._columns = {
            name: [
                np.array([getattr(c, name) for c in o.candidates], np.float64) for o in self.options
            ]
            for name in ("bytes", "ops", "ms", "kl", "drop")
        }
        measured = [c for o in self.options for c in o.candidates if not c.is_float]
        kl = sum(c.kl for c in measured)
        # How many points of top-5 a nat of KL divergence is worth on this network.
        self.points_per_nat = sum(c.drop for c in measured) / kl if kl > 0 else 0.0
        # Corrected by what real conversions turn out to be.
        self.gain = 1.0

    def choose(self, budget: Budget, float_bytes: int) -> Choice:
        """The choice that keeps the budget, as far as the estimates tell.

        The most accurate one within `size`; without it, the smallest one within `top5_drop`; without
        that, the smallest whose estimated loss is within a quarter of the least. Speed-ups
        are limits in every case.

        Raises
        ------
        ConfigError
            If nothing keeps the limits; the message says what comes nearest.
        """
        limits = self._limits(budget, float_bytes)
        self._check(budget, limits, float_bytes)
        if "bytes" in limits or budget.top5_drop is None:
            best = self._solve("kl", limits)
            if best is None:
                self._refuse(budget, limits, float_bytes)
            if "bytes" in limits:
                return best
            least = max(best.kl, 1e-6)
            return self._solve("bytes", {**limits, "kl": _SLACK * least}) or best
        return self.within_drop(budget.top5_drop, limits)

    def within_drop(self, points: float, limits: dict[str, float]) -> Choice:
        """The smallest choice whose estimated top-5 drop keeps a limit."""
        nats = points / max(self.points_per_nat * self.gain, 1e-9)
        found = self._solve("bytes", {**limits, "kl": nats})
        if found is None:
            best = self._solve("kl", limits)
            assert best is not None  # _check has seen to the limits
            raise ConfigError(
                f"no choice loses at most {points:g} points of top-5 at this speed; the most accurate "
                f"one is estimated to lose {self.estimated_drop(best):.2f}: allow that, or less speed"
            )
        return found

    def estimated_drop(self, choice: Choice) -> float:
        """Points of top-5, from the choice's KL divergence and what conversions have shown."""
        return choice.kl * self.points_per_nat * self.gain

    def limits(self, budget: Budget, float_bytes: int) -> dict[str, float]:
        """Limits of the knapsack, by the candidates' attribute."""
        return self._limits(budget, float_bytes)

    def front(self, axis: str) -> list[Choice]:
        """The most accurate choices along an axis, from the cheapest to the float network.

        Parameters
        ----------
        axis : {"bytes", "ms", "ops"}
        """
        columns = self._columns[axis]
        low = sum(float(c.min()) for c in columns)
        high = sum(float(c[0]) for c in columns)
        if not (math.isfinite(low) and 0 < low < high):
            return []
        found: list[Choice] = []
        # Costs are rounded up, so that the limit of the float network may seem to be out of its reach.
        float_network = self._choice([0] * len(self.options))
        for limit in np.geomspace(low * 1.0001, high, _FRONT_POINTS)[:-1]:
            choice = self._solve("kl", {axis: float(limit)})
            if choice is not None and (not found or choice.kl < found[-1].kl):
                found.append(choice)
        if not found or float_network.kl < found[-1].kl:
            found.append(float_network)
        return found

    def _limits(self, budget: Budget, float_bytes: int) -> dict[str, float]:
        limits: dict[str, float] = {}
        size = budget.size_limit(float_bytes)
        if math.isfinite(size):
            limits["bytes"] = size - self.fixed
        if budget.speedup is not None:
            limits["ms"] = sum(float(c[0]) for c in self._columns["ms"]) / budget.speedup
        if budget.theoretical_speedup is not None:
            total = sum(float(c[0]) for c in self._columns["ops"])
            limits["ops"] = total / budget.theoretical_speedup
        return limits

    def _check(self, budget: Budget, limits: dict[str, float], float_bytes: int) -> None:
        """Refuse a limit that not even the cheapest candidates keep."""
        least = {name: sum(float(c.min()) for c in self._columns[name]) for name in limits}
        if "bytes" in limits and least["bytes"] > limits["bytes"]:
            smallest = least["bytes"] + self.fixed
            raise ConfigError(
                f"a file of {(limits['bytes'] + self.fixed) / 1e6:.2f} MB is out of reach: the smallest "
                f"is {smallest / 1e6:.2f} MB ({float_bytes / smallest:.1f}x smaller than float), of "
                f"which {self.fixed / 1e6:.2f} MB are not layers that can be quantized"
            )
        for name, wanted, what in (
            ("ms", budget.speedup, "predicted"),
            ("ops", budget.theoretical_speedup, "theoretical"),
        ):
            if wanted is not None and least[name] > limits[name]:
                total = sum(float(c[0]) for c in self._columns[name])
                raise ConfigError(
                    f"a {what} speed-up of {wanted:g} is out of reach: the largest is "
                    f"{total / least[name]:.2f}"
                )

    def _refuse(self, budget: Budget, limits: dict[str, float], float_bytes: int) -> NoReturn:
        """Each limit can be kept, but not all at once: say what size the speed takes."""
        others = {name: limit for name, limit in limits.items() if name != "bytes"}
        nearest = self._solve("bytes", others)
        assert nearest is not None
        raise ConfigError(
            f"{budget}: both at once are out of reach; at that speed the smallest file is "
            f"{nearest.size / 1e6:.2f} MB ({float_bytes / nearest.size:.1f}x smaller than float)"
        )

    def _solve(self, value: str, limits: dict[str, float]) -> Choice | None:
        names = list(limits)
        values = [
            # Of equals the smaller one.
            v + 1e-9 * b / max(float(b[0]), 1.0)
            for v, b in zip(self._columns[value], self._columns["bytes"], strict=True)
        ]
        costs: list[list[Array]] = [self._columns[name] for name in names]
        picked = choose(values, costs, [limits[name] for name in names])
        return None if picked is None else self._choice(picked)

    def _choice(self, picked: list[int]) -> Choice:
        def total(name: str) -> float:
            columns = self._columns[name]
            return sum(float(c[i]) for c, i in zip(columns, picked, strict=True))

        def before(name: str) -> float:
            return sum(float(c[0]) for c in self._columns[name])

        return Choice(
            [o.candidates[i] for o, i in zip(self.options, picked, strict=True)],
            total("bytes") + self.fixed,
            int(total("ops")),
            int(before("ops")),
            total("ms"),
            before("ms"),
            total("kl"),
            total("drop"),
        )
