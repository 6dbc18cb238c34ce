"""Palettes: exact against every possible partition, and the histogram that they are made from."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.cluster import KMeans

from qcnn_tflite.pq.scalar import fit_palette, float16_histogram, nearest_entries


def squared_error(values: np.ndarray, palette: np.ndarray) -> float:
    codes = nearest_entries(values, palette)
    return float(np.square(values.astype(np.float64) - palette[codes]).sum())


def least_error(values: np.ndarray, K: int) -> float:
    """Over all partitions of the sorted values into K intervals."""
    values = np.sort(values.astype(np.float64))
    best = np.inf
    for cuts in itertools.combinations(range(1, len(values)), K - 1):
        parts = np.split(values, cuts)
        best = min(best, sum(np.square(p - p.mean()).sum() for p in parts))
    return best


@pytest.mark.parametrize("K", [2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(6))
def test_no_partition_is_better(K, seed):
    rng = np.random.default_rng(seed)
    # Multiples of 1/8 repeat, and means of them are float16 nearly exactly.
    values = (rng.integers(-40, 40, 14) / 8).astype(np.float32)
    found = squared_error(values, fit_palette(values, K))
    assert found <= least_error(values, K) * 1.0001 + 1e-4


def test_better_than_any_of_many_starts():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 0.02, 4000), rng.normal(0.3, 0.005, 90)])
    values = values.astype(np.float16).astype(np.float32)
    for K in (4, 16):
        lloyd = KMeans(K, n_init=30, random_state=0, tol=0).fit(values[:, None]).inertia_
        assert squared_error(values, fit_palette(values, K)) <= lloyd * 1.001


def test_palettes_are_sorted_float16():
    values = np.random.default_rng(0).normal(0, 0.02, 100_000).astype(np.float32)
    for K in (4, 16, 256):
        palette = fit_palette(values, K)
        assert palette.shape == (K,)
        np.testing.assert_array_equal(palette, np.sort(palette))
        np.testing.assert_array_equal(palette, palette.astype(np.float16))
        assert squared_error(values, palette) < np.square(values).sum() * 4 / K**2


def test_fewer_different_values_than_entries():
    values = np.array([[1, -2], [1, 0.5]], np.float32)
    palette = fit_palette(values, 16)
    assert set(palette) == {-2, 0.5, 1}
    assert squared_error(values, palette) == 0
    np.testing.assert_array_equal(fit_palette(np.zeros(3, np.float32), 2), [0, 0])


def test_histogram():
    values = np.array([0.0, -0.0, 1, 1.0001, -3, 1e9, -1e9, -3], np.float32)
    points, counts = float16_histogram(values)
    np.testing.assert_array_equal(points, [-65504, -3, 0, 1, 65504])
    np.testing.assert_array_equal(counts, [1, 2, 2, 2, 1])


def test_nearest_entries():
    palette = np.array([-1, 0, 0, 2], np.float32)
    values = np.array([[-9, -0.6, -0.4], [0.9, 1.1, 9]], np.float32)
    codes = nearest_entries(values, palette)
    np.testing.assert_array_equal(palette[codes], [[-1, -1, 0], [0, 2, 2]])
    assert codes.dtype == np.uint8
