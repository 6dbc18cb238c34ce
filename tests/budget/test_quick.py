"""The quick learner against the statistics it works on."""

from __future__ import annotations

import numpy as np
import pytest

from qcnn_tflite.budget.quick import QuickLayer, learn_quickly, sampled_errors
from qcnn_tflite.config import LayerConfig
from qcnn_tflite.pq import BlockLayout, StatisticsBuilder


def problem(samples=3000, groups=1, kernel=(3, 3), channels=30):
    """A layer, a few of whose inputs carry most of the power."""
    rng = np.random.default_rng(0)
    layout = BlockLayout(48 * groups, channels, kernel, groups, 1)
    weights = rng.normal(size=(48 * groups, *kernel, channels)).astype(np.float32)
    power = np.exp(rng.normal(size=channels) * 1.5)
    shape = (samples, layout.P, groups * channels)
    inputs = layout.split_inputs(
        (rng.normal(size=shape) * np.tile(power, groups)).astype(np.float32)
    )
    matrices = layout.split(weights)
    builder = StatisticsBuilder(groups, layout.rows, 48, samples)
    builder.add(inputs, np.stack([x @ w for x, w in zip(inputs, matrices, strict=True)]))
    bias = rng.normal(size=48 * groups).astype(np.float32)
    return weights, QuickLayer.of(weights, bias, layout, builder.finish())


CONFIGS = [
    LayerConfig(d=4, K=32, codebook_dtype="float16"),  # does not divide 30 channels
    LayerConfig(d=1, K=64, codebooks="shared", output_scale=True, codebook_dtype="float16"),
    LayerConfig(d=3, K=64, codebooks="shared", output_scale=True, codebook_dtype="int8"),
    LayerConfig(d=2, K=128, codebook_dtype="int8"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize(
    "setup", [{}, {"samples": 200}, {"groups": 2}, {"kernel": (1, 1), "samples": 500}], ids=str
)
def test_the_sampled_error_is_that_of_the_whole_layer(config, setup):
    weights, layer = problem(**setup)
    decoded, bias = learn_quickly(layer, config, scale=0.0, seed=0, jobs=1)
    assert decoded.shape == weights.shape and bias.shape == (len(weights),)
    exact = layer.statistics.relative_error(layer.layout.split(decoded))
    (every,) = sampled_errors(layer, [config], 1000, 0)
    if setup.get("groups") != 2:  # there the sample learns a codebook for each group
        assert every == pytest.approx(exact, rel=0.35, abs=2e-4)
    # A palette fitted to a few subspaces suits them better than one for all.
    drawn = [sampled_errors(layer, [config], 6, seed)[0] for seed in range(4)]
    assert 0.3 < np.mean(drawn) / every < 1.7


def test_more_codewords_are_better_and_the_same_seed_is_the_same():
    _, layer = problem()
    errors = [sampled_errors(layer, [LayerConfig(d=4, K=K)], 6, 3)[0] for K in (16, 64, 256)]
    assert errors[0] > errors[1] > errors[2] > 0
    assert sampled_errors(layer, [LayerConfig(d=4, K=16)], 6, 3)[0] == errors[0]
    a, b = (learn_quickly(layer, CONFIGS[0], scale=1.0, seed=5, jobs=1) for _ in range(2))
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_fine_palette_is_nearly_lossless():
    weights, layer = problem()
    config = LayerConfig(d=1, K=256, codebooks="shared", output_scale=True)
    decoded, bias = learn_quickly(layer, config, scale=1.0, seed=0, jobs=1)
    assert np.square(decoded - weights).sum() < 5e-4 * np.square(weights).sum()
    np.testing.assert_allclose(bias, layer.bias, atol=0.05 * np.abs(weights).max() * 30)
