"""A quick learner: k-means in the metric of the inputs, nearest codewords, scale and bias; no error correction.

It ranks settings of a layer; what is kept is learned properly afterwards.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from ..config import LayerConfig
from ..pq import BlockLayout, ProductCode, ResponseStatistics
from ..pq.assignment import Block
from ..pq.learn import round_codebooks
from ..pq.response import refit_bias, spread_ratio

FloatArray = NDArray[np.float32]

# Sub-vectors that k-means sees per codeword, and at least.
_POINTS_PER_WORD, _LEAST_POINTS = 16, 1024
_ITERATIONS = 8
_SUBSPACES_PER_TASK = 128
# Share of mean(diag H) added to every metric, as a damping.
_RIDGE = 0.03


@dataclass(frozen=True)
class QuickLayer:
    """A layer's weights, and the statistics of its inputs in natural order.

    Parameters
    ----------
    matrices : ndarray of shape (groups, channels * P, group_outputs)
        Rows by channel, then kernel position: those of a `BlockLayout` with d = 1.
    layout : BlockLayout
        With d = 1.
    statistics : ResponseStatistics
        In the same order.
    bias : ndarray of shape (C_out,) or None
    """

    matrices: FloatArray
    layout: BlockLayout
    statistics: ResponseStatistics
    bias: FloatArray | None

    @classmethod
    def of(
        cls,
        weights: FloatArray,
        bias: FloatArray | None,
        layout: BlockLayout,
        statistics: ResponseStatistics,
    ) -> QuickLayer:
        """From weights of shape (C_out, kH, kW, in_channels)."""
        return cls(layout.split(weights), layout, statistics, bias)

    def rows(self, d: int, m: int) -> NDArray[np.int64]:
        """Rows of subspace m at length d, shape (P, d); -1 where it is padded."""
        P = self.layout.P
        channels = m * d + np.arange(d)
        rows = channels[None, :] * P + np.arange(P)[:, None]
        return np.where(channels < self.layout.in_channels, rows, -1)

    def blocks(self, g: int, rows: NDArray[np.int64]) -> FloatArray:
        """Weights of one subspace, shape (P, d, group_outputs)."""
        values = self.matrices[g][np.maximum(rows, 0)]
        values[rows < 0] = 0
        return values

    def input_power(self, g: int) -> FloatArray:
        """Diagonal of a group's Gram matrix."""
        s = self.statistics
        if s.gram is not None:
            return np.diagonal(s.gram[g])
        assert s.inputs is not None
        return np.square(s.inputs[g]).sum(axis=0)

    def metrics(self, g: int, rows: NDArray[np.int64]) -> FloatArray:
        """Blocks of the Gram matrix of one subspace, shape (P, d, d)."""
        s = self.statistics
        out = np.empty((*rows.shape, rows.shape[1]), np.float32)
        for p, row in enumerate(rows):
            place = np.maximum(row, 0)
            if s.gram is not None:
                out[p] = s.gram[g][np.ix_(place, place)]
            else:
                assert s.inputs is not None
                x = s.inputs[g][:, place]
                out[p] = x.T @ x
            out[p][row < 0] = 0
            out[p][:, row < 0] = 0
        return out

    def ridge(self, g: int) -> float:
        """What every metric is damped by."""
        power = self.statistics.mean_power(g)
        return _RIDGE * power if power > 0 else 1.0


def sampled_errors(
    layer: QuickLayer, configs: Sequence[LayerConfig], count: int, seed: int
) -> list[float]:
    """Relative squared error of the response, extrapolated from `count` subspaces.

    They are drawn by their share in the power of the response, half of them evenly: a few channels
    often carry most of it. Errors of different subspaces are taken as uncorrelated.

    Parameters
    ----------
    layer : QuickLayer
    configs : sequence of LayerConfig
        That differ in nothing but the type of their codebooks, which are learned once.
    count, seed : int

    Returns
    -------
    list of float
        One a configuration.
    """
    config = configs[0]
    M = -(-layer.layout.in_channels // config.d)
    drawn, share = _draw(layer, config.d, count, seed)
    parts = [_Part.of(layer, config, int(i) // M, int(i) % M) for i in drawn]
    books = _codebooks(parts, config, seed, 1)
    power = max(float(layer.statistics.target_power.sum(dtype=np.float64)), 1e-30)
    errors = []
    for each in configs:
        values = round_codebooks(books, each.codebook_dtype)[0]
        error = 0.0
        for i, part in enumerate(parts):
            book = values[0 if len(values) == 1 else i]
            for p in range(len(part.blocks)):
                codes = part.block(p).nearest(book)
                rest = part.blocks[p] - (book[codes] * part.mask).T * part.scale
                error += float(np.vdot(rest, part.metrics[p] @ rest)) * share[i]
        errors.append(error / power)
    return errors


def _draw(
    layer: QuickLayer, d: int, count: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Subspaces (group * M + m), and how many each stands for in a sum over all of them."""
    layout = layer.layout
    M = -(-layout.in_channels // d)
    total = layout.groups * M
    if total <= count:
        return np.arange(total), np.ones(total)
    power = np.zeros((layout.groups, M * d))
    for g, matrix in enumerate(layer.matrices):
        rows = np.square(matrix).sum(axis=1) * layer.input_power(g)
        power[g, : layout.in_channels] = rows.reshape(layout.in_channels, layout.P).sum(axis=1)
    shares = power.reshape(total, d).sum(axis=1)
    shares = 0.5 * shares / max(float(shares.sum()), 1e-30) + 0.5 / total
    shares /= shares.sum()
    # Systematic: evenly spaced marks on the line of all shares.
    marks = (np.random.default_rng(seed).random() + np.arange(count)) / count
    drawn = np.minimum(np.searchsorted(np.cumsum(shares), marks), total - 1)
    found, times = np.unique(drawn, return_counts=True)
    return found, times / (count * shares[found])


def learn_quickly(
    layer: QuickLayer, config: LayerConfig, *, scale: float, seed: int, jobs: int | None
) -> tuple[FloatArray, FloatArray]:
    """Quantize a whole layer.

    Parameters
    ----------
    layer : QuickLayer
    config : LayerConfig
    scale : float
        Power of the ratio of standard deviations for the output scale.
    seed : int
    jobs : int or None

    Returns
    -------
    weights : ndarray of shape (C_out, kH, kW, in_channels)
        Decoded.
    bias : ndarray of shape (C_out,)
    """
    one = layer.layout
    layout = BlockLayout(one.out_channels, one.in_channels, one.kernel, one.groups, config.d)
    parts = [_Part.of(layer, config, g, m) for g in range(layout.groups) for m in range(layout.M)]
    by_book = [parts]
    if config.codebooks == "per_subspace":
        by_book = [parts[m :: layout.M] for m in range(layout.M)]
    merged = [_merge(members) for members in by_book] if layout.groups > 1 else parts
    if config.codebooks == "shared":
        merged = parts
    books = round_codebooks(_codebooks(merged, config, seed, jobs), config.codebook_dtype)[0]
    code = ProductCode(
        layout,
        books,
        np.zeros((layout.groups, layout.M, layout.P, layout.group_outputs), np.uint8),
        np.stack([parts[g * layout.M].scale for g in range(layout.groups)]),
    )
    for i, part in enumerate(parts):
        g, m = divmod(i, layout.M)
        for p in range(layout.P):
            code.codes[g, m, p] = part.block(p).nearest(books[code.owner[g, m]])
    natural = one.split(code.weights())
    if scale:
        ratio = spread_ratio([layer.statistics], natural) ** np.float32(scale)
        natural *= ratio[:, None, :]
    return one.join(natural), refit_bias([layer.statistics], natural, layer.bias)


@dataclass(frozen=True)
class _Part:
    """One subspace: blocks (P, d, outputs), scale (outputs,), mask (d,), metrics (P, d, d).

    Codewords are learned and chosen in the damped metric, errors measured in the other one.
    """

    blocks: FloatArray
    metrics: FloatArray
    damped: FloatArray
    scale: FloatArray
    mask: FloatArray

    @classmethod
    def of(cls, layer: QuickLayer, config: LayerConfig, g: int, m: int) -> _Part:
        rows = layer.rows(config.d, m)
        scale = np.ones(layer.layout.group_outputs, np.float32)
        if config.output_scale:
            norms = np.sqrt(np.square(layer.matrices[g]).mean(axis=0))
            scale[norms > 0] = norms[norms > 0]
        mask = (rows[0] >= 0).astype(np.float32)
        metrics = layer.metrics(g, rows)
        damped = metrics + np.float32(layer.ridge(g)) * np.eye(config.d, dtype=np.float32)
        return cls(layer.blocks(g, rows), metrics, damped, scale, mask)

    def block(self, p: int) -> Block:
        return Block(self.blocks[p], self.damped[p], self.scale, self.mask)

    def points(self) -> tuple[FloatArray, FloatArray]:
        """Normalised sub-vectors of shape (P * outputs, d), and their weights."""
        values = (self.blocks / self.scale).transpose(0, 2, 1).reshape(-1, self.blocks.shape[1])
        return values, np.tile(np.square(self.scale), len(self.blocks))


def _merge(parts: list[_Part]) -> _Part:
    """The same subspace of several groups, which share a codebook."""
    first = parts[0]
    return _Part(
        np.concatenate([p.blocks for p in parts], axis=2),
        np.mean([p.metrics for p in parts], axis=0),
        np.mean([p.damped for p in parts], axis=0),
        np.concatenate([p.scale for p in parts]),
        first.mask,
    )


def _codebooks(parts: list[_Part], config: LayerConfig, seed: int, jobs: int | None) -> FloatArray:
    """One codebook for each part, or one for all."""
    rng = np.random.default_rng(seed)
    wanted = max(_LEAST_POINTS, _POINTS_PER_WORD * config.K)
    subspaces = []
    if config.codebooks == "shared":
        each = max(1, -(-2 * wanted // len(parts)))
        sampled = [_sample(*part.points(), each, rng) for part in parts]
        metric = np.mean([part.damped.mean(axis=0) for part in parts], axis=0)
        points, weights = (np.concatenate(values) for values in zip(*sampled, strict=True))
        subspaces.append((points, weights, metric))
    else:
        for part in parts:
            points, weights = _sample(*part.points(), wanted, rng)
            subspaces.append((points, weights, part.damped.mean(axis=0)))
    K = min(config.K, *(len(points) for points, _, _ in subspaces))
    tasks = [
        delayed(_fit_some)(subspaces[i : i + _SUBSPACES_PER_TASK], K, seed)
        for i in range(0, len(subspaces), _SUBSPACES_PER_TASK)
    ]
    return np.concatenate(Parallel(n_jobs=jobs if len(tasks) > 1 else 1)(tasks))


def _fit_some(
    subspaces: list[tuple[FloatArray, FloatArray, FloatArray]], K: int, seed: int
) -> FloatArray:
    """A few iterations of k-means.

    From random points: k-means++ would take most of the time, and pays where there is one codebook
    only, whose tails matter.
    """
    books = []
    init = "k-means++" if len(subspaces) == 1 else "random"
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for points, weights, metric in subspaces:
            # Cholesky A = L Lᵀ: the distance is Euclidean between the rows of X L.
            factor = np.linalg.cholesky(metric.astype(np.float64))
            moved = points @ factor
            unit = float(np.abs(moved).max()) or 1.0
            model = KMeans(K, init=init, n_init=1, max_iter=_ITERATIONS, random_state=seed)
            model.fit((moved / unit).astype(np.float32), sample_weight=weights)
            centers = model.cluster_centers_.astype(np.float64) * unit
            books.append(np.linalg.solve(factor.T, centers.T).T)
    return np.stack(books).astype(np.float32)


def _sample(
    points: FloatArray, weights: FloatArray, count: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    if len(points) <= count:
        return points, weights
    chosen = rng.choice(len(points), count, replace=False)
    return points[chosen], weights[chosen]
