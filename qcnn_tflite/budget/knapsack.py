"""Multiple-choice knapsack: one option for every layer, at the least total value within limits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Steps of the axis of one limit, and of each axis of two.
_STEPS = {1: 8192, 2: 384}


def choose(
    values: Sequence[Array], costs: Sequence[Sequence[Array]], limits: Sequence[float]
) -> list[int] | None:
    """One option a layer: the least sum of values whose sums of costs keep the limits.

    Exact by dynamic programming on discretised costs, which are rounded up: a limit is never
    exceeded, and at most one step of each axis a layer is wasted.

    Parameters
    ----------
    values : sequence of ndarray of shape (options,)
        One array a layer.
    costs : sequence (one entry a limit) of such sequences
    limits : sequence of float
        At most two.

    Returns
    -------
    list of int or None
        The option of each layer; None if nothing keeps the limits.
    """
    if not limits:
        return [int(np.argmin(v)) for v in values]
    steps = _STEPS[len(limits)]
    weights, shape = [], []
    for cost, limit in zip(costs, limits, strict=True):
        # What every choice costs at least leaves the axis: it is not worth steps.
        least = [float(c.min()) for c in cost]
        room = limit - sum(least)
        if room < 0:
            return None
        excess = [c - low for c, low in zip(cost, least, strict=True)]
        if sum(float(e.max()) for e in excess) <= room:
            axis = [np.zeros(len(e), np.int64) for e in excess]
            shape.append(1)
        else:
            # Less than a step must not count as one when nothing is left to spend.
            unit = room / (steps - 1) if room > 0 else 1.0
            axis = [
                np.where(e <= 0, 0, np.ceil(np.minimum(e / unit, 2.0 * steps) - 1e-9)).astype(
                    np.int64
                )
                if room > 0
                else np.where(e <= 0, 0, 2 * steps)
                for e in excess
            ]
            shape.append(steps)
        weights.append(axis)
    best = np.zeros(shape)
    taken: list[NDArray[np.int16]] = []
    for layer, value in enumerate(values):
        new = np.full(shape, np.inf)
        pick = np.full(shape, -1, np.int16)
        for option, v in enumerate(value):
            used = [int(axis[layer][option]) for axis in weights]
            if any(u >= n for u, n in zip(used, shape, strict=True)):
                continue
            # best[b]: the least value within b steps, so an option costing u moves it by u.
            to = tuple(slice(u, None) for u in used)
            source = tuple(slice(0, n - u) for u, n in zip(used, shape, strict=True))
            better = best[source] + v < new[to]
            new[to][better] = (best[source] + v)[better]
            pick[to][better] = option
        best = new
        taken.append(pick)
    place = tuple(n - 1 for n in shape)
    if not np.isfinite(best[place]):
        return None
    chosen: list[int] = []
    for layer in range(len(values) - 1, -1, -1):
        option = int(taken[layer][place])
        chosen.append(option)
        place = tuple(p - int(a[layer][option]) for p, a in zip(place, weights, strict=True))
    return chosen[::-1]
