"""Error correction: codes and codewords that minimise the error of a layer's response.

Q-CNN, Wu et al. 2016, section 3.2; codes by Mahalanobis distance block by block, codewords of all
codebooks jointly by conjugate gradients. Neither step can raise the objective.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky

from .assignment import Block, refine
from .code import ProductCode
from .layout import FloatArray
from .objective import Objective

# A batch of rows whose residual stays in the cache while its blocks are visited.
_BATCH_ELEMENTS = 1 << 19
# Above this many rows the dense metric and its factor do not pay: 576 MB at 12,000.
MAX_SEQUENTIAL_ROWS = 12_000


def compensate(objectives: list[Objective], code: ProductCode, *, refinements: int = 0) -> None:
    """Choose codes one block after another, each making up for the errors of those before it.

    GPTQ's idea (Frantar et al. 2023) in the order of Babai's nearest plane: with ``H_λ = L Lᵀ`` the
    objective is ``‖Lᵀ (Ŵ − W*)‖²``, and from the last row upwards every block sees the exact cost
    that remains once the blocks above it are free. Subspaces that carry most input power come first.

    Parameters
    ----------
    objectives : list of Objective
        One per group, at the float weights; left at the decoded weights.
    code : ProductCode
        Its codebooks are the start; codes are overwritten. Codebooks that are not shared over
        subspaces are fitted anew to the compensated targets by `refinements` Lloyd iterations.
    """
    layout = code.layout
    per_subspace = layout.P * layout.d
    power = sum(o.diagonal() for o in objectives)
    order = np.argsort(np.asarray(power).reshape(layout.M, -1).sum(axis=1), kind="stable")
    rows = (order[:, None] * per_subspace + np.arange(per_subspace)).ravel()
    factors, ideals, deltas = [], [], []
    for objective in objectives:
        metric = objective.dense()[np.ix_(rows, rows)]
        factor = _cholesky(metric)
        residual = objective.residual(slice(0, layout.rows))[rows]
        ideals.append(objective.current[rows] + cho_solve((factor, True), residual))
        factors.append(factor)
        deltas.append(np.zeros_like(residual))
        del metric, residual
    mask = np.broadcast_to(layout.mask(), (layout.M, 1, layout.d, 1)).reshape(layout.M, layout.d)
    step = max(1, min(256, _BATCH_ELEMENTS // layout.group_outputs) // per_subspace)
    for stop in range(layout.M, 0, -step):
        start = max(0, stop - step)
        batch = slice(start * per_subspace, stop * per_subspace)
        carried = [
            factor[batch.stop :, batch].T @ delta[batch.stop :]
            for factor, delta in zip(factors, deltas, strict=True)
        ]
        for index in range(stop - 1, start - 1, -1):
            m = int(order[index])
            first = index * per_subspace
            if refinements and len(code.codebooks) > 1:
                _refine_subspace(
                    code, m, first, batch.start, factors, ideals, carried, mask[m], refinements
                )
            for g in range(layout.groups):
                codebook = code.codebooks[code.owner[g, m]]
                for p in range(layout.P - 1, -1, -1):
                    block = slice(first + p * layout.d, first + (p + 1) * layout.d)
                    before = block.start - batch.start
                    goal, own = _conditional(factors[g], ideals[g], carried[g], block, before)
                    codes = Block(goal, own, code.scale[g], mask[m]).nearest(codebook)
                    code.codes[g, m, p] = codes
                    chosen = (codebook * mask[m])[codes].T * code.scale[g]
                    delta = chosen - ideals[g][block]
                    deltas[g][block] = delta
                    carried[g][:before] += factors[g][block, batch.start : block.start].T @ delta
    for g, objective in enumerate(objectives):
        everything = slice(0, layout.rows)
        objective.move(everything, code.decode(g) - objective.current)


def _conditional(
    factor: FloatArray, ideal: FloatArray, carried: FloatArray, block: slice, at: int
) -> tuple[FloatArray, FloatArray]:
    """Target and metric of a block, given the errors of the rows behind it.

    `carried` holds ``L[behind]ᵀ Δ[behind]`` for the rows of a batch; the block begins at its row `at`.
    """
    triangle = factor[block, block]
    part = carried[at : at + len(triangle)]
    return ideal[block] - np.linalg.solve(triangle.T, part), triangle @ triangle.T


def _refine_subspace(
    code: ProductCode,
    m: int,
    first: int,
    batch_start: int,
    factors: list[FloatArray],
    ideals: list[FloatArray],
    carried: list[FloatArray],
    mask: FloatArray,
    iterations: int,
) -> None:
    """Fit the codebooks of subspace m, whose factor rows begin at `first`, to its targets."""
    layout = code.layout
    owners = code.owner[:, m]
    for owner in np.unique(owners):
        blocks = []
        for g in np.flatnonzero(owners == owner):
            for p in range(layout.P):
                block = slice(first + p * layout.d, first + (p + 1) * layout.d)
                goal, own = _conditional(
                    factors[g], ideals[g], carried[g], block, block.start - batch_start
                )
                blocks.append(Block(goal, own, code.scale[g], mask))
        code.codebooks[owner] = refine(blocks, code.codebooks[owner], iterations) * mask


def sweep_codes(objectives: list[Objective], code: ProductCode) -> int:
    """Give every block the codeword nearest to its target, in the metric H_λ of the block.

    The target of block b is ``U_b = Ŵ_b + (H_λ,bb)⁻¹ R_b``; R follows every change.

    Returns
    -------
    int
        Number of codes that changed.
    """
    layout = code.layout
    per_subspace = layout.P * layout.d
    mask = layout.mask().reshape(layout.M, layout.d)
    step = max(1, min(512, _BATCH_ELEMENTS // layout.group_outputs) // per_subspace)
    changed = 0
    for g, objective in enumerate(objectives):
        for start in range(0, layout.M, step):
            stop = min(start + step, layout.M)
            rows = slice(start * per_subspace, stop * per_subspace)
            metric = objective.metric(rows)
            residual = objective.residual(rows)
            before = objective.current[rows]
            after = before.copy()
            for m in range(start, stop):
                codebook = code.codebooks[code.owner[g, m]] * mask[m]
                for p in range(layout.P):
                    first = ((m - start) * layout.P + p) * layout.d
                    block = slice(first, first + layout.d)
                    own = metric[block, block]
                    target = after[block] + np.linalg.solve(own, residual[block])
                    codes = Block(target, own, code.scale[g], mask[m]).nearest(codebook)
                    moved = np.flatnonzero(codes != code.codes[g, m, p])
                    if not len(moved):
                        continue
                    changed += len(moved)
                    code.codes[g, m, p] = codes
                    new = codebook[codes[moved]].T * code.scale[g][moved]
                    residual[:, moved] -= metric[:, block] @ (new - after[block, moved])
                    after[block, moved] = new
            objective.move(rows, after - before)
    return changed


def fit_codewords(objectives: list[Objective], code: ProductCode, iterations: int = 8) -> None:
    """Least squares for the codewords of all codebooks at fixed codes.

    Preconditioned conjugate gradients on ``Σ_g ‖spread(ΔD) − (W* − Ŵ)‖²`` in the metrics H_λ, all
    cross terms between positions, subspaces and groups included; every iteration lowers the
    objective. Iterations stop early once the gradient has fallen by 10⁴.
    """
    layout = code.layout
    everything = slice(0, layout.rows)
    weight = np.zeros(code.codebooks.shape)
    for g, objective in enumerate(objectives):
        # collect() applies the scale once, the curvature has it squared.
        curvature = objective.diagonal()[:, None] * code.scale[g]
        weight += code.collect(g, curvature)
    weight[weight <= 0] = 1  # codewords without blocks, padded entries: their gradient is 0
    direction = np.zeros(code.codebooks.shape)
    previous = first = 0.0
    for _ in range(iterations):
        gradient = np.zeros(code.codebooks.shape)
        for g, objective in enumerate(objectives):
            gradient += code.collect(g, objective.residual(everything))
        scaled = gradient / weight
        slope = float(np.vdot(gradient, scaled))
        first = first or slope
        if slope <= 1e-8 * first:
            break
        direction = scaled + (slope / previous if previous else 0.0) * direction
        previous = slope
        spreads = [code.spread(g, direction.astype(np.float32)) for g in range(layout.groups)]
        pairs = [o.curvature(s) for o, s in zip(objectives, spreads, strict=True)]
        total = sum(c for c, _ in pairs)
        along = float(np.vdot(gradient, direction))
        if total <= 0 or along <= 0:
            break
        length = along / total
        code.codebooks += (length * direction).astype(np.float32)
        for objective, spread, (_, image) in zip(objectives, spreads, pairs, strict=True):
            objective.step(length, spread, image)


def reseed_unused(objectives: list[Objective], code: ProductCode) -> int:
    """Move codewords that no block uses to the targets that are served worst.

    The decoded weights stay as they are; the next `sweep_codes` can use the new codewords.

    Returns
    -------
    int
        Number of codewords moved.
    """
    layout = code.layout
    used = np.zeros(len(code.codebooks) * code.K, np.int64)
    for g in range(layout.groups):
        used += np.bincount(code.slots(g).ravel(), minlength=len(used))
    empty = np.flatnonzero(used == 0)
    if not len(empty):
        return 0
    shape = (layout.M, layout.P, layout.d, layout.group_outputs)
    for codebook in np.unique(empty // code.K):
        targets, errors = [], []
        for g, objective in enumerate(objectives):
            for m in np.flatnonzero(code.owner[g] == codebook):
                rows = slice(m * layout.P * layout.d, (m + 1) * layout.P * layout.d)
                part = shape[1:]
                gap = (objective.residual(rows) / objective.diagonal()[rows, None]).reshape(part)
                goal = objective.current[rows].reshape(part) + gap
                power = objective.diagonal()[rows].reshape(part[:2])
                targets.append((goal / code.scale[g]).transpose(0, 2, 1).reshape(-1, layout.d))
                errors.append(np.einsum("pdo,pd->po", gap**2, power).ravel())
        slots = empty[empty // code.K == codebook] % code.K
        worst = np.argsort(np.concatenate(errors))[::-1][: len(slots)]
        code.codebooks[codebook, slots[: len(worst)]] = np.concatenate(targets)[worst]
    return len(empty)


def _cholesky(metric: FloatArray) -> FloatArray:
    """Lower factor; a metric that rounding made indefinite gets the least ridge that mends it."""
    ridge = np.float32(1e-6 * np.diagonal(metric).mean())
    for _ in range(12):
        try:
            return np.asarray(cholesky(metric, lower=True, check_finite=False))
        except LinAlgError:
            metric.flat[:: len(metric) + 1] += ridge
            ridge *= 4
    raise LinAlgError("the Gram matrix is not positive definite: are the inputs finite?")
