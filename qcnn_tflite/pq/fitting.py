"""Codebooks and codes of one layer at a given damping: k-means, error correction."""

from __future__ import annotations

import math

import numpy as np

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
from .recipe import Recipe
from .scalar import fit_palette, nearest_entries
from .statistics import ResponseStatistics


def fit(
    matrices: FloatArray,
    layout: BlockLayout,
    recipe: Recipe,
    train: ResponseStatistics,
    damping: float,
    random_state: int,
    jobs: int | None,
    *,
    corrected: bool = True,
) -> ProductCode:
    """Codes and codebooks for one damping, before rounding and scale.

    Parameters
    ----------
    matrices : ndarray of shape (groups, rows, group_outputs)
        The float weights.
    damping : float
        Infinity is plain product quantization of the weights.
    corrected : bool
        Whether error correction follows the k-means.
    """
    if math.isinf(damping):
        return plain(matrices, layout, recipe, random_state, jobs)
    objectives = objectives_of(train, matrices, damping)
    code = start(objectives, matrices, layout, recipe, random_state, jobs)
    if corrected:
        correct(objectives, code, recipe)
    return code


def objectives_of(
    statistics: ResponseStatistics, matrices: FloatArray, damping: float
) -> list[Objective]:
    """One quadratic a group, at the float weights."""
    return [Objective.of(statistics, g, w, damping) for g, w in enumerate(matrices)]


def start(
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
        assign_nearest(code, g, matrices[g], metrics)
    return code


def correct(objectives: list[Objective], code: ProductCode, recipe: Recipe) -> None:
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


def plain(
    matrices: FloatArray,
    layout: BlockLayout,
    recipe: Recipe,
    random_state: int,
    jobs: int | None,
) -> ProductCode:
    """k-means on the weights and the nearest codewords, by the Euclidean distance."""
    if layout.d == 1 and recipe.codebooks == "shared" and not recipe.output_scale:
        return _palette(matrices, layout, recipe)
    code = _initial(matrices, layout, recipe, None, random_state, jobs)
    for g in range(layout.groups):
        assign_nearest(code, g, matrices[g], None)
    return code


def _palette(matrices: FloatArray, layout: BlockLayout, recipe: Recipe) -> ProductCode:
    """The best palette for all weights, exactly."""
    palette = fit_palette(matrices, min(recipe.K, matrices.size))
    cells = matrices.reshape(layout.groups, layout.M, layout.P, layout.group_outputs)
    scale = np.ones((layout.groups, layout.group_outputs), np.float32)
    return ProductCode(layout, palette[None, :, None], nearest_entries(cells, palette), scale)


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


def assign_nearest(
    code: ProductCode, g: int, matrix: FloatArray, metrics: FloatArray | None
) -> None:
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
