"""One palette for a whole layer (ccv's Klaus, 2014): exact one-dimensional k-means.

Rounded to float16, weights have at most 63,488 different finite values, however many there are. Over
sorted values the best clusters are intervals, so dynamic programming finds the best palette of all
(Wang and Song, "Ckmeans.1d.dp", The R Journal 2011); the best cut moves only forward, so each row of
the table takes n log n steps (Grønlund et al., "Fast exact k-means in one dimension", 2017).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .layout import FloatArray

FloatTable = NDArray[np.float64]


def fit_palette(values: FloatArray, K: int) -> FloatArray:
    """The palette with the least squared error over the values' float16 histogram.

    Parameters
    ----------
    values : ndarray
        Any shape, finite.
    K : int
        Entries, 2 to 256.

    Returns
    -------
    ndarray of shape (K,), float32
        Ascending, each exactly a float16; the largest repeats where there are fewer different values.
    """
    points, counts = float16_histogram(values)
    found = points if len(points) <= K else _means(points, counts, _cuts(points, counts, K))
    palette = np.full(K, found[-1], np.float64)
    palette[: len(found)] = found
    return np.sort(palette.astype(np.float16)).astype(np.float32)


def float16_histogram(values: FloatArray) -> tuple[FloatTable, FloatTable]:
    """Different values in ascending order, rounded to float16, and how often each occurs."""
    counts = np.zeros(1 << 16, np.int64)
    flat = values.reshape(-1)
    # Adding 0 makes a -0 a 0; beyond float16's range lies its largest value.
    for start in range(0, flat.size, 1 << 22):
        part = np.clip(flat[start : start + (1 << 22)], -65504, 65504).astype(
            np.float16
        ) + np.float16(0)
        counts += np.bincount(part.view(np.uint16), minlength=1 << 16)
    bits = np.flatnonzero(counts)
    points = bits.astype(np.uint16).view(np.float16).astype(np.float64)
    order = np.argsort(points)
    return points[order], counts[bits][order].astype(np.float64)


def nearest_entries(values: FloatArray, palette: FloatArray) -> NDArray[np.uint8]:
    """Index of the nearest entry of an ascending palette, of the values' shape."""
    middles = (palette[1:].astype(np.float64) + palette[:-1]) / 2
    return np.searchsorted(middles, values, side="right").astype(np.uint8)


def _cuts(points: FloatTable, counts: FloatTable, K: int) -> NDArray[np.int64]:
    """Where the K best intervals begin."""
    n = len(points)
    # Around the mean the squares lose the fewest digits.
    centred = points - np.average(points, weights=counts)
    mass = np.concatenate([[0], np.cumsum(counts)])
    first = np.concatenate([[0], np.cumsum(counts * centred)])
    second = np.concatenate([[0], np.cumsum(counts * centred**2)])

    def cost(begin: NDArray[np.int64], end: NDArray[np.int64]) -> FloatTable:
        """Squared error of [begin, end) around its mean."""
        total = first[end] - first[begin]
        return second[end] - second[begin] - total**2 / (mass[end] - mass[begin])

    ends = np.arange(1, n + 1)
    best = np.concatenate([[np.inf], cost(np.zeros(n, np.int64), ends)])
    # begin[k, j]: where the last of k + 2 intervals over the first j points begins.
    begin = np.zeros((K - 1, n + 1), np.uint16)
    for k in range(1, K):
        best, begin[k - 1] = _next_row(best, cost, k, n)
    cuts = np.zeros(K, np.int64)
    end = n
    for k in range(K - 1, 0, -1):
        end = int(begin[k - 1, end])
        cuts[k] = end
    return cuts


def _next_row(
    best: FloatTable, cost: object, k: int, n: int
) -> tuple[FloatTable, NDArray[np.uint16]]:
    """Least errors of k + 1 intervals over the first j points, from those of k."""
    assert callable(cost)
    row = np.full(n + 1, np.inf)
    begin = np.zeros(n + 1, np.int64)
    # Middles of ever smaller ranges of j; the best begin of each lies between its neighbours'.
    low, high = np.array([k + 1]), np.array([n])
    left, right = np.array([k]), np.array([n - 1])
    while len(low):
        middle = (low + high) // 2
        stop = np.minimum(right, middle - 1)
        lengths = stop - left + 1
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        candidates = np.arange(lengths.sum()) - np.repeat(starts - left, lengths)
        errors = best[candidates] + cost(candidates, np.repeat(middle, lengths))
        least = np.minimum.reduceat(errors, starts)
        # The first candidate of each range that reaches its least error.
        hits = np.flatnonzero(errors == np.repeat(least, lengths))
        chosen = candidates[hits[np.searchsorted(hits, starts)]]
        row[middle], begin[middle] = least, chosen
        lower, upper = low < middle, middle < high
        low, high, left, right = (
            np.concatenate([low[lower], middle[upper] + 1]),
            np.concatenate([middle[lower] - 1, high[upper]]),
            np.concatenate([left[lower], chosen[upper]]),
            np.concatenate([chosen[lower], right[upper]]),
        )
    return row, begin.astype(np.uint16)


def _means(points: FloatTable, counts: FloatTable, cuts: NDArray[np.int64]) -> FloatTable:
    means: FloatTable = np.add.reduceat(counts * points, cuts) / np.add.reduceat(counts, cuts)
    return means
