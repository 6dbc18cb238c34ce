"""The knapsack against trying everything."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from qcnn_tflite.budget.knapsack import choose


def brute_force(values, costs, limits):
    best, found = np.inf, None
    for picked in itertools.product(*(range(len(v)) for v in values)):
        if all(
            sum(c[i] for c, i in zip(cost, picked, strict=True)) <= limit
            for cost, limit in zip(costs, limits, strict=True)
        ):
            value = sum(v[i] for v, i in zip(values, picked, strict=True))
            if value < best:
                best, found = value, list(picked)
    return best, found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("axes", [1, 2])
def test_as_good_as_trying_everything(seed, axes):
    rng = np.random.default_rng(seed)
    values = [rng.random(4) for _ in range(5)]
    # Whole steps: nothing is lost by rounding up.
    costs = [[rng.integers(0, 12, 4).astype(float) for _ in range(5)] for _ in range(axes)]
    least = [sum(c.min() for c in cost) for cost in costs]
    limits = [low + 383 / 32 for low in least]
    expected, _ = brute_force(values, costs, limits)
    picked = choose(values, costs, limits)
    if picked is None:
        assert not np.isfinite(expected)
        return
    for cost, limit in zip(costs, limits, strict=True):
        assert sum(c[i] for c, i in zip(cost, picked, strict=True)) <= limit
    assert sum(v[i] for v, i in zip(values, picked, strict=True)) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_limits_are_never_exceeded(seed):
    rng = np.random.default_rng(seed)
    values = [rng.random(6) for _ in range(12)]
    costs = [[rng.random(6) * 10 ** rng.uniform(0, 5) for _ in range(12)] for _ in range(2)]
    limits = [1.3 * sum(np.median(c) for c in cost) for cost in costs]
    picked = choose(values, costs, limits)
    assert picked is not None
    for cost, limit in zip(costs, limits, strict=True):
        assert sum(c[i] for c, i in zip(cost, picked, strict=True)) <= limit * (1 + 1e-12)


def test_edges():
    values = [np.array([0.0, 1.0]), np.array([0.0, 2.0])]
    cost = [np.array([10.0, 1.0]), np.array([5.0, 2.0])]
    assert choose(values, [], []) == [0, 0]
    assert choose(values, [cost], [2.9]) is None  # less than the cheapest
    assert choose(values, [cost], [3.0]) == [1, 1]  # exactly the cheapest
    assert choose(values, [cost], [6.0]) == [1, 0]
    assert choose(values, [cost], [1e9]) == [0, 0]
