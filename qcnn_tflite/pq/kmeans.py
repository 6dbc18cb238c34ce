"""Codebooks by k-means, plainly or in the metric of the layer's inputs."""

from __future__ import annotations

import warnings

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from .layout import FloatArray

# As in faiss: more points per codeword than this change a codebook very little.
MAX_POINTS_PER_CODEWORD = 256
_SUBSPACES_PER_TASK = 64


def fit_codebook(
    points: FloatArray,
    K: int,
    *,
    weights: FloatArray | None = None,
    metric: FloatArray | None = None,
    seed: int = 0,
) -> FloatArray:
    """Cluster points under ``(x - y)ᵀ metric (x - y)``.

    Parameters
    ----------
    points : ndarray of shape (n, d)
    K : int
        Number of codewords, at most n.
    weights : ndarray of shape (n,) or None
    metric : ndarray of shape (d, d) or None
        Symmetric positive definite; None is the Euclidean one.
    seed : int

    Returns
    -------
    ndarray of shape (K, d)
        When there are fewer distinct points than K, some codewords repeat.
    """
    rng = np.random.default_rng(seed)
    if len(points) > K * MAX_POINTS_PER_CODEWORD:
        chosen = rng.choice(len(points), K * MAX_POINTS_PER_CODEWORD, replace=False)
        points = points[chosen]
        weights = None if weights is None else weights[chosen]
    factor = None
    if metric is not None:
        # Cholesky A = L Lᵀ: the distance is Euclidean between the rows of X L.
        factor = np.linalg.cholesky(metric.astype(np.float64))
        points = (points @ factor).astype(np.float32)
    # Denormal or huge points (a metric has squared units) would defeat k-means' tolerances.
    unit = float(np.abs(points).max()) or 1.0
    # 15 iterations are within 0.2 % of convergence on AlexNet's layers, in half the time of 30.
    model = KMeans(K, n_init=1, max_iter=15, tol=1e-3, random_state=seed % 2**31)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than K
        model.fit(np.ascontiguousarray(points / unit), sample_weight=weights)
    centers = model.cluster_centers_.astype(np.float64) * unit
    if factor is not None:
        centers = np.linalg.solve(factor.T, centers.T).T
    return centers.astype(np.float32)


def fit_codebooks(
    subspaces: list[tuple[FloatArray, FloatArray | None, FloatArray | None]],
    K: int,
    *,
    seed: int,
    jobs: int | None = None,
) -> FloatArray:
    """`fit_codebook` of many subspaces, through joblib.

    The result does not depend on the number of jobs or on joblib's backend.

    Parameters
    ----------
    subspaces : list of (points, weights, metric)
    K : int
    seed : int
    jobs : int or None
        Workers; None leaves the choice to an active ``joblib.parallel_config``, else 1.

    Returns
    -------
    ndarray of shape (len(subspaces), K, d)
    """
    seeds = np.random.SeedSequence(seed).generate_state(len(subspaces))
    tasks = [
        delayed(_fit_some)(
            subspaces[start : start + _SUBSPACES_PER_TASK],
            K,
            seeds[start : start + _SUBSPACES_PER_TASK],
        )
        for start in range(0, len(subspaces), _SUBSPACES_PER_TASK)
    ]
    # Workers that are threads share this process's pools: what each of them sets and restores must
    # be the same.
    with threadpool_limits(1):
        return np.concatenate(Parallel(n_jobs=jobs)(tasks))


def _fit_some(
    subspaces: list[tuple[FloatArray, FloatArray | None, FloatArray | None]],
    K: int,
    seeds: NDArray[np.uint32],
) -> FloatArray:
    # One thread, so that the order of summation does not depend on the machine. Once a task: looking
    # for the thread pools takes longer than a small codebook.
    with threadpool_limits(1):
        return np.stack(
            [
                fit_codebook(points, K, weights=weights, metric=metric, seed=int(seed))
                for (points, weights, metric), seed in zip(subspaces, seeds, strict=True)
            ]
        )
