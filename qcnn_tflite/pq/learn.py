"""Learning one layer: initial codebooks, error correction, damping by held-out images, scale, bias."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .assignment import Block
from .code import ProductCode
from .correction import (
    MAX_SEQUENTIAL_ROWS,
    compensate,
    fit_codewords,
    reseed_unused,
    sweep_codes,
)
from .kmeans import fit_codebooks
from .layout import BlockLayout, FloatArray
from .objective import Objective
from .response import refit_bias, spread_ratio
from .statistics import ResponseStatistics

# Outputs on which dampings are compared.
_PILOT_OUTPUTS = 512


@dataclass(frozen=True)
class Recipe:
    """What to learn for one layer, and how.

    Parameters
    ----------
    d, K : int
        Length and number of codewords. K is capped at the number of sub-vectors.
    codebooks : {"per_subspace", "shared", "per_group"}
    output_scale : bool
        Learn on rows of unit root mean square with a factor per output.
    codebook_dtype : {"float32", "float16", "int8"}
    gram_init : bool
        k-means in the metric of the inputs instead of the Euclidean one.
    sequential : bool
        Start from sequentially compensated codes instead of nearest codewords.
    sweeps : int
        Error-correction sweeps (codes, then codewords); 0 leaves the initial solution.
    dampings : tuple of float
        Candidates of λ relative to the mean of diag H; infinity is plain product quantization of
        the weights. Of several, the one with the least error on held-out statistics is taken.
    response_scale : float
        Power of the ratio of standard deviations that the output scale takes up: 1 restores the
        spread of the float response, 0 leaves it.
    """

    d: int
    K: int
    codebooks: str = "per_subspace"
    output_scale: bool = False
    codebook_dtype: str = "float32"
    gram_init: bool = True
    sequential: bool = True
    sweeps: int = 3
    dampings: tuple[float, ...] = (0.01,)
    response_scale: float = 1.0


@dataclass(frozen=True)
class LearnedLayer:
    """A layer as the op contract wants it.

    Parameters
    ----------
    codebooks : ndarray of shape (m, K, d)
        float32, float16 or int8.
    codebook_scales : ndarray of shape (m,) or None
        For int8 codebooks.
    codes : ndarray of shape (M, C_out, kH, kW), uint8
    scale : ndarray of shape (C_out,) or None
    bias : ndarray of shape (C_out,) or None
    weights : ndarray of shape (C_out, kH, kW, in_channels)
        Decoded, scale applied.
    damping : float or None
        The damping chosen; None without calibration images.
    error : float or None
        Squared response error on held-out images relative to the power of the response.
    """

    codebooks: NDArray[np.generic]
    codebook_scales: FloatArray | None
    codes: NDArray[np.uint8]
    scale: FloatArray | None
    bias: FloatArray | None
    weights: FloatArray
    damping: float | None = None
    error: float | None = None


def learn(
    weights: FloatArray,
    bias: FloatArray | None,
    layout: BlockLayout,
    recipe: Recipe,
    train: ResponseStatistics,
    held_out: ResponseStatistics | None = None,
    *,
    random_state: int = 0,
    jobs: int | None = None,
) -> LearnedLayer:
    """Learn a layer from its weights and the statistics of its responses.

    Parameters
    ----------
    weights : ndarray of shape (C_out, kH, kW, in_channels)
    bias : ndarray of shape (C_out,) or None
    layout : BlockLayout
    recipe : Recipe
    train, held_out : ResponseStatistics
        Disjoint images; `held_out` chooses between several dampings.
    random_state : int
    jobs : int or None
        Workers for the k-means.

    Returns
    -------
    LearnedLayer
    """
    matrices = layout.split(weights)
    pool = [train] if held_out is None else [train, held_out]
    judge = pool[-1]
    damping = recipe.dampings[0]
    if len(recipe.dampings) > 1:
        damping = _choose_damping(matrices, layout, recipe, train, judge, random_state, jobs)
    code = _fit(matrices, layout, recipe, train, damping, random_state, jobs)
    code.codebooks = round_codebooks(code.codebooks, recipe.codebook_dtype)[0]
    if recipe.response_scale:
        code.scale *= spread_ratio(pool, _decoded(code)) ** np.float32(recipe.response_scale)
    decoded = _decoded(code)
    scaled = recipe.output_scale or recipe.response_scale != 0
    layer = _finish(code, recipe, refit_bias(pool, decoded, bias), scaled)
    return replace(layer, damping=damping, error=judge.relative_error(decoded))


def learn_from_weights(
    weights: FloatArray,
    bias: FloatArray | None,
    layout: BlockLayout,
    recipe: Recipe,
    *,
    random_state: int = 0,
    jobs: int | None = None,
) -> LearnedLayer:
    """Plain product quantization of the weights; for want of calibration images.

    Parameters and result as for `learn`. Each output's weights keep their norm, the closest thing
    to a spread that can be restored without images.
    """
    matrices = layout.split(weights)
    code = _plain(matrices, layout, recipe, random_state, jobs)
    code.codebooks = round_codebooks(code.codebooks, recipe.codebook_dtype)[0]
    if recipe.response_scale:
        for g in range(layout.groups):
            before = np.linalg.norm(matrices[g], axis=0)
            after = np.linalg.norm(code.decode(g), axis=0)
            alive = (before > 0) & (after > 0)
            ratio = np.clip(before[alive] / after[alive], 0.25, 4.0)
            code.scale[g, alive] *= ratio ** np.float32(recipe.response_scale)
    scaled = recipe.output_scale or recipe.response_scale != 0
    return _finish(code, recipe, bias, scaled)


def round_codebooks(
    codebooks: FloatArray, dtype: str
) -> tuple[FloatArray, NDArray[np.generic], FloatArray | None]:
    """Round codebooks to what the file can hold.

    Returns
    -------
    values : ndarray of shape (m, K, d), float32
        What a kernel will decode.
    stored : ndarray of shape (m, K, d)
    scales : ndarray of shape (m,) or None
        For int8: value = scale * stored.
    """
    if dtype == "float16":
        stored = np.clip(codebooks, -65504, 65504).astype(np.float16)
        return stored.astype(np.float32), stored, None
    if dtype == "int8":
        scales = np.abs(codebooks).max(axis=(1, 2)) / np.float32(127)
        scales[scales < np.finfo(np.float32).tiny] = 1
        integers = np.rint(codebooks / scales[:, None, None]).astype(np.int8)
        return integers * scales[:, None, None], integers, scales
    return codebooks, codebooks, None


def _choose_damping(
    matrices: FloatArray,
    layout: BlockLayout,
    recipe: Recipe,
    train: ResponseStatistics,
    judge: ResponseStatistics,
    random_state: int,
    jobs: int | None,
) -> float:
    """The damping that serves the judging statistics best, tried on a sample of the outputs.

    How much error correction overfits depends on the inputs and the number of samples, which all
    outputs share: a few hundred of them tell as much as all, in a fraction of the time.
    """
    count = min(layout.group_outputs, max(1, _PILOT_OUTPUTS // layout.groups))
    rng = np.random.default_rng(random_state)
    columns = np.sort(rng.choice(layout.group_outputs, count, replace=False))
    pilot = replace(layout, out_channels=count * layout.groups)
    quick = replace(recipe, sequential=False, sweeps=min(2, recipe.sweeps))
    weights, statistics = matrices[:, :, columns], train.of_outputs(columns)
    start: ProductCode | None = None  # one k-means serves all finite dampings
    errors = []
    for damping in recipe.dampings:
        if math.isinf(damping):
            part = _plain(weights, pilot, quick, random_state, jobs)
        else:
            objectives = _objectives(statistics, weights, damping)
            if start is None:
                start = _start(objectives, weights, pilot, quick, random_state, jobs)
            part = copy.deepcopy(start)
            _correct(objectives, part, quick)
        errors.append(judge.of_outputs(columns).relative_error(_decoded(part)))
    return recipe.dampings[int(np.argmin(errors))]


def _decoded(code: ProductCode) -> FloatArray:
    """All groups' weights, shape (groups, rows, group_outputs)."""
    return np.stack([code.decode(g) for g in range(code.layout.groups)])


def _fit(
    matrices: FloatArray,
    layout: BlockLayout,
    recipe: Recipe,
    train: ResponseStatistics,
    damping: float,
    random_state: int,
    jobs: int | None,
) -> ProductCode:
    """Codes and codebooks for one damping, before rounding and scale."""
    if math.isinf(damping):
        return _plain(matrices, layout, recipe, random_state, jobs)
    objectives = _objectives(train, matrices, damping)
    code = _start(objectives, matrices, layout, recipe, random_state, jobs)
    _correct(objectives, code, recipe)
    return code


def _objectives(
    statistics: ResponseStatistics, matrices: FloatArray, damping: float
) -> list[Objective]:
    return [Objective.of(statistics, g, w, damping) for g, w in enumerate(matrices)]


def _start(
    objectives: list[Objective],
    matrices: FloatArray,
    layout: BlockLayout,
    recipe: Recipe,
    random_state: int,
    jobs: int | None,
) -> ProductCode:
    """Codebooks by k-means and the codes nearest to the float weights."""
    metrics = _subspace_metrics(objectives, layout) if recipe.gram_init else None
    code = _initial(matrices, layout, recipe, metrics, random_state, jobs)
    for g in range(layout.groups):
        _assign(code, g, matrices[g], metrics)
    return code


def _correct(objectives: list[Objective], code: ProductCode, recipe: Recipe) -> None:
    """Error correction of a start, as the recipe says."""
    layout = code.layout
    if recipe.sequential and layout.rows <= MAX_SEQUENTIAL_ROWS:
        # On held-out data refining pays for convolutions (0.079 to 0.084 of the power), not for P = 1.
        compensate(objectives, code, refinements=3 if layout.P > 1 else 0)
    else:
        for g, objective in enumerate(objectives):
            objective.move(slice(0, layout.rows), code.decode(g) - objective.current)
    iterations = 8 if layout.P > 1 else 4
    for _ in range(recipe.sweeps):
        fit_codewords(objectives, code, iterations)
        reseed_unused(objectives, code)
        if not sweep_codes(objectives, code):
            break
    if recipe.sweeps:
        fit_codewords(objectives, code, iterations)


def _plain(
    matrices: FloatArray,
    layout: BlockLayout,
    recipe: Recipe,
    random_state: int,
    jobs: int | None,
) -> ProductCode:
    code = _initial(matrices, layout, recipe, None, random_state, jobs)
    for g in range(layout.groups):
        _assign(code, g, matrices[g], None)
    return code


def _initial(
    matrices: FloatArray,
    layout: BlockLayout,
    recipe: Recipe,
    metrics: FloatArray | None,
    random_state: int,
    jobs: int | None,
) -> ProductCode:
    """Codebooks by k-means on the weights; codes still zero."""
    G, M, P, d, C = layout.groups, layout.M, layout.P, layout.d, layout.group_outputs
    scale = np.ones((G, C), np.float32)
    if recipe.output_scale:
        norms = np.sqrt(np.square(matrices).mean(axis=1))
        scale[norms > 0] = norms[norms > 0]
    count = {"shared": 1, "per_subspace": M, "per_group": G * M}[recipe.codebooks]
    K = min(
        recipe.K, {"shared": G * M, "per_subspace": G, "per_group": 1}[recipe.codebooks] * P * C
    )
    code = ProductCode(
        layout,
        np.zeros((count, K, d), np.float32),
        np.zeros((G, M, P, C), np.uint8),
        scale,
    )
    # A large layer's weights are hundreds of megabytes: no copy without need.
    normalized = matrices / scale[:, None] if recipe.output_scale else matrices
    blocks = normalized.reshape(G, M, P, d, C)
    weight = np.broadcast_to(np.square(scale)[:, None, :], (G, P, C))
    subspaces = []
    for owner in range(count):
        members = np.argwhere(code.owner == owner)
        if layout.padded and len(members) > G and layout.M > 1:
            # A shared codebook is not fitted to the half-empty blocks of the last subspace.
            members = members[members[:, 1] < M - 1]
        points = np.concatenate(
            [blocks[g, m].transpose(0, 2, 1).reshape(-1, d) for g, m in members]
        )
        weights = np.concatenate([weight[g].ravel() for g, _ in members])
        metric = None
        if metrics is not None:
            metric = np.mean([metrics[g, m] for g, m in members], axis=0)
        subspaces.append((points, weights if recipe.output_scale else None, metric))
    code.codebooks[:] = fit_codebooks(subspaces, K, seed=random_state, jobs=jobs)
    if count > 1:
        mask = layout.mask().reshape(M, 1, d)
        code.codebooks *= np.tile(mask, (count // M, 1, 1))
    return code


def _subspace_metrics(objectives: list[Objective], layout: BlockLayout) -> FloatArray:
    """Mean over the kernel positions of H_λ's diagonal blocks, shape (groups, M, d, d)."""
    out = np.zeros((layout.groups, layout.M, layout.d, layout.d), np.float32)
    for g, objective in enumerate(objectives):
        for m in range(layout.M):
            first = m * layout.P * layout.d
            metric = objective.metric(slice(first, first + layout.P * layout.d))
            for p in range(layout.P):
                block = slice(p * layout.d, (p + 1) * layout.d)
                out[g, m] += metric[block, block]
    out /= layout.P
    return out


def _assign(code: ProductCode, g: int, matrix: FloatArray, metrics: FloatArray | None) -> None:
    """Nearest codewords of a group's float weights."""
    layout = code.layout
    mask = layout.mask().reshape(layout.M, layout.d)
    blocks = matrix.reshape(layout.M, layout.P, layout.d, layout.group_outputs)
    for m in range(layout.M):
        metric = np.eye(layout.d, dtype=np.float32) if metrics is None else metrics[g, m]
        codebook = code.codebooks[code.owner[g, m]]
        for p in range(layout.P):
            block = Block(blocks[m, p], metric, code.scale[g], mask[m])
            code.codes[g, m, p] = block.nearest(codebook)


def _finish(
    code: ProductCode, recipe: Recipe, bias: FloatArray | None, scaled: bool
) -> LearnedLayer:
    values, stored, scales = round_codebooks(code.codebooks, recipe.codebook_dtype)
    code.codebooks = values
    return LearnedLayer(
        codebooks=stored,
        codebook_scales=scales,
        codes=code.contract_codes(),
        scale=code.scale.reshape(-1) if scaled else None,
        bias=bias,
        weights=code.weights(),
    )
