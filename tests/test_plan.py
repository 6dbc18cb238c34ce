from __future__ import annotations

from dataclasses import replace

import pytest
from small_network import float_model

from qcnn_tflite.config import Config
from qcnn_tflite.errors import ConfigError, ModelError
from qcnn_tflite.graph import find_layers, read_model
from qcnn_tflite.plan import plan_layers


@pytest.fixture(scope="module")
def layers():
    return find_layers(read_model(float_model()))


def plan(found, **values):
    config = Config.load({"preset": "paper", "min_weights": 1000, **values})
    planned, kept = plan_layers(found, config, scales=True)
    return {p.layer.name: p for p in planned}, {r.name: r for r in kept}


def test_every_layer_has_a_fate_and_a_reason(layers):
    planned, kept = plan(layers)
    assert sorted([*planned, *kept]) == sorted(layer.name for layer in layers)
    assert all(r.reason and r.bytes_before == r.bytes_after for r in kept.values())
    assert "fewer than min_weights" in kept["conv1"].reason


def test_presets_by_kind_of_layer(layers):
    planned, _ = plan(layers)
    assert (planned["fc1"].config.d, planned["fc1"].config.K) == (4, 32)
    assert planned["point"].config.d == 4
    big = replace(layers[-1], in_channels=4096, out_channels=1000, name="fc2")
    planned, _ = plan([*layers[:-1], big])
    assert (planned["fc2"].config.d, planned["fc2"].config.K) == (1, 16)


def test_codebooks_larger_than_the_weights_are_shared_or_given_up(layers):
    # 48 codewords in each of 16 subspaces are as many numbers as the 1,536 weights.
    wide = {"layers": {"point": {"K": 256, "d": 2}}}
    planned, kept = plan(layers, **wide)
    assert planned["point"].config.codebooks == "shared" and planned["point"].remark
    hopeless = {"min_weights": 500, "layers": {"fc2": {"K": 256, "d": 4}}}
    _, kept = plan(layers, **hopeless)
    assert "larger than the weights" in kept["fc2"].reason


def test_a_layer_can_be_kept_float(layers):
    _, kept = plan(layers, layers={"fc1": {"quantize": False}})
    assert "configuration" in kept["fc1"].reason


def test_names_that_fit_no_layer_are_refused_with_near_matches(layers):
    with pytest.raises(ConfigError, match=r"did you mean.*conv2"):
        plan(layers, layers={"conv22": {"K": 16}})


def test_nothing_to_quantize_is_an_error_that_says_why(layers):
    with pytest.raises(ModelError, match="fewer than min_weights"):
        plan(layers, min_weights=10**9)
    with pytest.raises(ModelError, match="no such layers"):
        plan([])


def test_layers_of_other_kinds_stay_float(layers):
    depthwise = replace(
        layers[0], kind="depthwise", ineligible="depthwise: no subspace", name="deep"
    )
    planned, kept = plan([depthwise, *layers[1:]])
    assert kept["deep"].reason == "depthwise: no subspace"
    assert "deep" not in planned
