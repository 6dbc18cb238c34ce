from __future__ import annotations

import numpy as np
import pytest
from problems import make_problem

from qcnn_tflite.pq import BlockLayout, StatisticsBuilder

LAYOUT = BlockLayout(out_channels=6, in_channels=5, kernel=(2, 2), groups=2, d=2)


def centred(values):
    return values.astype(np.float64) - values.mean(axis=1, keepdims=True, dtype=np.float64)


def test_gram_form_holds_centred_moments():
    problem = make_problem(LAYOUT, 500)
    x, t = centred(problem.inputs), centred(problem.targets)
    train = problem.train
    assert train.inputs is None
    np.testing.assert_allclose(train.gram, np.einsum("gnr,gns->grs", x, x), rtol=1e-3, atol=0.05)
    np.testing.assert_allclose(train.cross, np.einsum("gnr,gno->gro", x, t), rtol=1e-3, atol=0.05)
    np.testing.assert_allclose(train.target_power, np.square(t).sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(train.input_mean, problem.inputs.mean(axis=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        train.target_mean, problem.targets.mean(axis=1), rtol=1e-4, atol=1e-4
    )


def test_sample_form_holds_centred_samples():
    problem = make_problem(LAYOUT, 20)
    assert problem.train.gram is None
    np.testing.assert_allclose(problem.train.inputs, centred(problem.inputs), atol=1e-4)
    np.testing.assert_allclose(problem.train.targets, centred(problem.targets), atol=1e-4)


@pytest.mark.parametrize("samples", [20, 500])
def test_relative_error_is_that_of_the_responses(samples):
    problem = make_problem(LAYOUT, samples)
    other = problem.matrices + 0.1
    responses = centred(np.einsum("gnr,gro->gno", problem.inputs, other))
    targets = centred(problem.targets)
    expected = np.square(responses - targets).sum() / np.square(targets).sum()
    assert problem.train.relative_error(other) == pytest.approx(expected, rel=1e-3)


def test_inputs_far_from_zero_keep_their_digits():
    """Grey values around 10,000 with a spread of 1: a float32 Gram matrix of them would be noise."""
    rng = np.random.default_rng(3)
    x = (1e4 + rng.normal(size=(1, 4000, 6))).astype(np.float32)
    builder = StatisticsBuilder(1, 6, 1, 4000)
    for part in np.split(x, 8, axis=1):
        builder.add(part, part[..., :1])
    gram = builder.finish().gram[0]
    exact = np.cov(x[0].T.astype(np.float64), bias=True) * 4000
    np.testing.assert_allclose(gram, exact, atol=20)


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="no samples"):
        StatisticsBuilder(1, 2, 3, 4).finish()
