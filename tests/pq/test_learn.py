from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from problems import make_problem

from qcnn_tflite.pq import BlockLayout, Recipe, learn, learn_from_weights
from qcnn_tflite.pq.kmeans import fit_codebook, fit_codebooks
from qcnn_tflite.pq.learn import round_codebooks

CONV = BlockLayout(out_channels=32, in_channels=16, kernel=(3, 3), groups=1, d=4)
FC = BlockLayout(out_channels=64, in_channels=96, kernel=(1, 1), groups=1, d=4)


def run(problem, **changes):
    recipe = replace(Recipe(d=problem.layout.d, K=16), **changes)
    return learn(problem.weights, None, problem.layout, recipe, problem.train, problem.held_out)


def test_every_step_pays_on_held_out_data():
    problem = make_problem(CONV, 2000)
    plain = run(problem, dampings=(math.inf,), response_scales=(0,))
    gram = run(problem, sequential=False, sweeps=0, response_scales=(0,))
    corrected = run(problem, sequential=False, sweeps=4, response_scales=(0,))
    sequential = run(problem, sequential=True, sweeps=4, response_scales=(0,))
    assert gram.error < plain.error
    assert corrected.error < 0.7 * gram.error
    assert sequential.error < 1.05 * corrected.error


def test_the_result_decodes_to_its_weights():
    problem = make_problem(replace(CONV, groups=2, in_channels=7), 1500)
    for dtype in ("float32", "float16", "int8"):
        result = run(problem, codebook_dtype=dtype)
        assert str(result.codebooks.dtype) == dtype
        books = result.codebooks.astype(np.float32)
        if result.codebook_scales is not None:
            books = books * result.codebook_scales[:, None, None]
        layout = problem.layout
        for c in (0, 17, 31):
            for m in range(layout.M):
                words = books[m][result.codes[m, c]]
                channels = slice(m * layout.d, min((m + 1) * layout.d, layout.in_channels))
                width = channels.stop - channels.start
                expected = words[..., :width] * result.scale[c]
                np.testing.assert_allclose(
                    result.weights[c, :, :, channels], expected, rtol=1e-5, atol=1e-7
                )


def test_the_method_is_chosen_on_the_held_out_images():
    """Few samples: the undamped fit overfits, the held-out images show it."""
    problem = make_problem(FC, 30, noise=0.5)
    candidates = (1e-3, 1.0, math.inf)
    errors = {d: run(problem, dampings=(d,)).error for d in candidates}
    result = run(problem, dampings=candidates)
    assert errors[1e-3] > 1.2 * min(errors.values())
    assert result.error <= min(errors.values()) * (1 + 1e-6)
    assert result.choice.damping != 1e-3 or not result.choice.corrected


def test_the_networks_output_judges_where_it_can_be_had():
    """Here it likes what is near the float weights, whatever that does to the layer's response."""
    problem = make_problem(CONV, 2000)
    bias = np.linspace(-1, 1, CONV.out_channels).astype(np.float32)
    calls = []

    def loss(weights, biases):
        assert weights.shape == problem.weights.shape and biases.shape == bias.shape
        calls.append(float(np.square(weights - problem.weights).sum()))
        return calls[-1]

    recipe = Recipe(d=4, K=16, dampings=(0.01, 0.1, math.inf), response_scales=(1.0, 0.0))
    result = learn(
        problem.weights,
        bias,
        problem.layout,
        recipe,
        problem.train,
        problem.held_out,
        network_loss=loss,
    )
    # Input-weighted, two dampings, plain; then two powers of the spread.
    assert len(calls) == 6
    assert math.isinf(result.choice.damping) and not result.choice.corrected
    assert str(result.choice) == "plain"
    assert result.choice.response_scale == 0
    assert run(problem, dampings=recipe.dampings).choice.corrected


def test_a_large_layer_is_judged_by_a_sample_of_its_outputs(monkeypatch):
    monkeypatch.setattr("qcnn_tflite.pq.choice._PILOT_OUTPUTS", 8)
    problem = make_problem(replace(CONV, groups=2), 2000)
    changed = []

    def loss(weights, biases):
        same = (weights == problem.weights).reshape(len(weights), -1).all(axis=1)
        changed.append(int((~same).sum()))
        return 0.0

    recipe = Recipe(d=4, K=16, dampings=(0.01, 0.1))
    learn(problem.weights, None, problem.layout, recipe, problem.train, network_loss=loss)
    assert changed == [8, 8, 8]


def test_scale_and_bias_restore_spread_and_mean():
    problem = make_problem(CONV, 1500)
    result = run(problem, response_scales=(1.0,))
    x = np.concatenate([problem.inputs[0]])
    y = x @ problem.layout.split(result.weights)[0] + result.bias
    t = problem.targets[0]
    # Statistics are pooled over both sets; this is one of them.
    np.testing.assert_allclose(y.mean(axis=0), t.mean(axis=0), atol=0.1 * t.std())
    np.testing.assert_allclose(y.std(axis=0) / t.std(axis=0), 1, atol=0.1)
    without = run(problem, response_scales=(0,))
    assert without.scale is None
    assert (
        np.abs(x @ problem.layout.split(without.weights)[0]).std() < np.abs(y - result.bias).std()
    )


def test_shared_codebook_with_scales_handles_rows_of_very_different_size():
    problem = make_problem(BlockLayout(48, 32, (1, 1), 1, 2), 600)
    problem.weights *= np.logspace(-2, 2, 48, dtype=np.float32)[:, None, None, None]
    plain = learn_from_weights(
        problem.weights, None, problem.layout, Recipe(2, 64, "shared", response_scales=(0,))
    )
    scaled = learn_from_weights(
        problem.weights, None, problem.layout, Recipe(2, 64, "shared", True, response_scales=(0,))
    )
    small = np.s_[:8]

    def error(result):
        gap = result.weights[small] - problem.weights[small]
        return np.square(gap).sum() / np.square(problem.weights[small]).sum()

    assert scaled.codebooks.shape == (1, 64, 2)
    assert error(scaled) < 0.1 * error(plain)


def test_K_is_capped_at_the_number_of_sub_vectors():
    layout = BlockLayout(5, 8, (1, 1), 1, 4)
    weights = np.random.default_rng(0).normal(size=(5, 1, 1, 8)).astype(np.float32)
    result = learn_from_weights(weights, None, layout, Recipe(4, 128, response_scales=(0,)))
    assert result.codebooks.shape == (2, 5, 4)
    np.testing.assert_allclose(result.weights, weights, atol=1e-5)


def test_equal_seeds_give_equal_results_whatever_the_number_of_jobs():
    problem = make_problem(FC, 60)
    first, second = run(problem), run(problem)
    np.testing.assert_array_equal(first.codes, second.codes)
    np.testing.assert_array_equal(first.codebooks, second.codebooks)
    rng = np.random.default_rng(0)
    points = [(rng.normal(size=(200, 4)).astype(np.float32), None, None) for _ in range(40)]
    np.testing.assert_array_equal(
        fit_codebooks(points, 8, seed=3, jobs=1), fit_codebooks(points, 8, seed=3, jobs=2)
    )


def test_k_means_follows_its_metric():
    """A metric that only sees the first axis puts the codewords along it."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2000, 2)).astype(np.float32) * [1, 10]
    metric = np.diag([1.0, 1e-6]).astype(np.float32)
    words = fit_codebook(points.astype(np.float32), 8, metric=metric)
    assert np.ptp(words[:, 0]) > 2 and np.ptp(words[:, 1]) < np.ptp(points[:, 1]) / 4
    nearest = np.abs(points[:, None, 0] - words[:, 0]).min(axis=1)
    assert np.square(nearest).mean() < 0.05


def test_rounding_says_what_a_kernel_decodes():
    books = np.random.default_rng(1).normal(size=(3, 4, 2)).astype(np.float32)
    books[2] = 0
    values, stored, scales = round_codebooks(books, "int8")
    np.testing.assert_allclose(values, stored * scales[:, None, None])
    assert np.abs(values - books).max() <= scales.max() / 2 + 1e-6 and (scales > 0).all()
    values, stored, scales = round_codebooks(books, "float16")
    assert scales is None and (values == stored.astype(np.float32)).all()


def test_dead_outputs_and_constant_inputs_do_no_harm():
    problem = make_problem(CONV, 1500)
    problem.weights[3] = 0
    again = make_problem(CONV, 1500)
    again.weights[3] = 0
    result = learn(
        again.weights, np.ones(32, np.float32), CONV, Recipe(4, 16), problem.train, problem.held_out
    )
    assert np.isfinite(result.weights).all() and np.isfinite(result.bias).all()
