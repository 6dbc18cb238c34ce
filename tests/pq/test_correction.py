from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from problems import make_problem

from qcnn_tflite.pq import BlockLayout, ProductCode
from qcnn_tflite.pq.correction import compensate, fit_codewords, reseed_unused, sweep_codes
from qcnn_tflite.pq.objective import Objective

# layout, codebooks, samples: both forms, groups, padding, several positions, every way of sharing
CASES = {
    "conv": (BlockLayout(12, 8, (3, 3), 1, 4), "per_subspace", 400),
    "conv, groups share": (BlockLayout(12, 7, (2, 2), 2, 3), "per_subspace", 300),
    "conv, per group": (BlockLayout(12, 6, (2, 2), 3, 2), "per_group", 300),
    "1x1, one codebook": (BlockLayout(24, 11, (1, 1), 1, 2), "shared", 200),
    "fc, few samples": (BlockLayout(20, 40, (1, 1), 1, 4), "per_subspace", 25),
    "fc, one codebook": (BlockLayout(20, 41, (1, 1), 1, 3), "shared", 25),
}


def start(name, damping=0.05, K=8):
    layout, sharing, samples = CASES[name]
    problem = make_problem(layout, samples)
    objectives = [
        Objective.of(problem.train, g, w, damping) for g, w in enumerate(problem.matrices)
    ]
    count = {"shared": 1, "per_subspace": layout.M, "per_group": layout.M * layout.groups}[sharing]
    rng = np.random.default_rng(5)
    codebooks = rng.normal(size=(count, K, layout.d)).astype(np.float32)
    if count > 1:
        codebooks *= np.tile(
            layout.mask().reshape(layout.M, 1, layout.d), (count // layout.M, 1, 1)
        )
    code = ProductCode(
        layout,
        codebooks,
        rng.integers(0, K, (layout.groups, layout.M, layout.P, layout.group_outputs), np.uint8),
        rng.uniform(0.5, 2, (layout.groups, layout.group_outputs)).astype(np.float32),
    )
    return problem, objectives, code


def settle(objectives, code):
    for g, objective in enumerate(objectives):
        objective.move(slice(0, code.layout.rows), code.decode(g) - objective.current)


def value(objectives):
    return sum(o.value() for o in objectives)


def direct_value(problem, code, damping):
    """The objective from its definition, in float64."""
    total = 0.0
    for g, w in enumerate(problem.matrices):
        x = problem.inputs[g].astype(np.float64)
        t = problem.targets[g].astype(np.float64)
        x, t = x - x.mean(axis=0), t - t.mean(axis=0)
        now = code.decode(g).astype(np.float64)
        ridge = damping * np.square(x).sum() / x.shape[1]
        total += np.square(x @ now - t).sum() + ridge * np.square(now - w).sum()
    return total


@pytest.mark.parametrize("name", CASES)
def test_the_objective_is_what_it_says(name):
    problem, objectives, code = start(name)
    settle(objectives, code)
    assert value(objectives) == pytest.approx(direct_value(problem, code, 0.05), rel=2e-3)


@pytest.mark.parametrize("name", CASES)
def test_collect_is_the_adjoint_of_spread(name):
    _, _, code = start(name)
    rng = np.random.default_rng(2)
    books = rng.normal(size=code.codebooks.shape).astype(np.float32)
    matrix = rng.normal(size=(code.layout.rows, code.layout.group_outputs)).astype(np.float32)
    for g in range(code.layout.groups):
        there = np.vdot(code.spread(g, books).astype(np.float64), matrix)
        assert there == pytest.approx(np.vdot(books, code.collect(g, matrix)), rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_no_step_raises_the_objective(name):
    problem, objectives, code = start(name)
    settle(objectives, code)
    values = [value(objectives)]
    for _ in range(4):
        for step in (fit_codewords, reseed_unused, sweep_codes):
            step(objectives, code)
            values.append(value(objectives))
    assert all(b <= a * (1 + 1e-4) for a, b in pairwise(values)), values
    assert values[-1] < 0.9 * values[0]
    # What the objectives believe is what the code decodes to.
    assert values[-1] == pytest.approx(direct_value(problem, code, 0.05), rel=5e-3)


@pytest.mark.parametrize("name", CASES)
def test_codewords_reach_the_least_squares_solution(name):
    """Against a dense solve over all codewords at once, cross terms included."""
    _, objectives, code = start(name)
    settle(objectives, code)
    fit_codewords(objectives, code, iterations=200)
    reached = value(objectives)
    layout, shape = code.layout, code.codebooks.shape
    size = int(np.prod(shape))
    normal, rhs = np.zeros((size, size)), np.zeros(size)
    spreads = []
    for g, objective in enumerate(objectives):
        basis = np.stack(
            [
                code.spread(g, np.eye(1, size, i, dtype=np.float32).reshape(shape)).ravel()
                for i in range(size)
            ]
        ).astype(np.float64)
        metric = objective.dense().astype(np.float64)
        image = np.einsum(
            "rs,iso->iro", metric, basis.reshape(size, layout.rows, layout.group_outputs)
        ).reshape(size, -1)
        normal += basis @ image.T
        rhs += basis @ objective.residual(slice(0, layout.rows)).astype(np.float64).ravel()
        spreads.append(basis)
    step = np.linalg.lstsq(normal, rhs, rcond=1e-9)[0]
    gain = float(rhs @ step)  # by how much an exact solution would still lower the objective
    assert gain < 2e-3 * reached


def test_codes_are_nearest_in_the_metric_of_the_block():
    """One block, one position: against every codeword tried one after another."""
    layout = BlockLayout(9, 3, (1, 1), 1, 3)
    problem = make_problem(layout, 200)
    objective = Objective.of(problem.train, 0, problem.matrices[0], 0.05)
    rng = np.random.default_rng(8)
    code = ProductCode(
        layout,
        rng.normal(size=(1, 16, 3)).astype(np.float32),
        np.zeros((1, 1, 1, 9), np.uint8),
        np.ones((1, 9), np.float32),
    )
    settle([objective], code)
    sweep_codes([objective], code)
    chosen = code.codes.copy()
    best = direct_value(problem, code, 0.05)
    for o in range(9):
        for k in range(16):
            code.codes[...] = chosen
            code.codes[0, 0, 0, o] = k
            assert direct_value(problem, code, 0.05) >= best * (1 - 1e-5)


@pytest.mark.parametrize("name", CASES)
def test_compensation_beats_nearest_codewords(name):
    problem, objectives, code = start(name, K=8)
    rng = np.random.default_rng(4)
    code.scale[:] = 1
    # Codebooks of real weights, so that "nearest" means something.
    rows = problem.matrices.reshape(
        code.layout.groups, code.layout.M, code.layout.P, code.layout.d, code.layout.group_outputs
    )
    for index in range(len(code.codebooks)):
        g, m = np.argwhere(code.owner == index)[0]
        points = rows[g, m].transpose(0, 2, 1).reshape(-1, code.layout.d)
        code.codebooks[index] = points[rng.choice(len(points), code.K)]
    plain = ProductCode(code.layout, code.codebooks.copy(), code.codes.copy(), code.scale)
    from qcnn_tflite.pq.fitting import assign_nearest

    for g in range(code.layout.groups):
        assign_nearest(plain, g, problem.matrices[g], None)
    compensate(objectives, code)
    assert direct_value(problem, code, 0.05) < direct_value(problem, plain, 0.05)
    assert value(objectives) == pytest.approx(direct_value(problem, code, 0.05), rel=5e-3)


def test_unused_codewords_move_without_changing_the_weights():
    _, objectives, code = start("conv", K=16)
    code.codes[code.codes >= 10] = 3
    settle(objectives, code)
    before = code.decode(0).copy()
    assert reseed_unused(objectives, code) == 6 * len(code.codebooks)
    np.testing.assert_array_equal(code.decode(0), before)
    assert sweep_codes(objectives, code)
    assert (code.codes >= 10).any()
