"""Presets, overrides by name or glob, JSON in and out, and refusals with near matches."""

from __future__ import annotations

import json
import math

import pytest

from qcnn_tflite.config import PRESETS, Config, LayerConfig, LearningConfig
from qcnn_tflite.errors import ConfigError


def test_paper_is_the_published_setting():
    paper = Config.load("paper")
    assert (paper.conv.d, paper.conv.K) == (8, 128)
    assert paper.for_layer("a", "conv1x1").d == 4
    assert (paper.for_layer("a", "fc").d, paper.for_layer("a", "fc").K) == (4, 32)
    last = paper.for_layer("a", "fc", last_fc=True)
    assert (last.d, last.K) == (1, 16)


def test_accurate_gives_the_first_of_several_fc_layers_fewer_codewords():
    accurate = Config.load("accurate")
    assert accurate.for_layer("a", "fc", first_fc=True).K == 64
    assert accurate.for_layer("a", "fc").K == 128
    changed = Config.load({"preset": "accurate", "fc": {"d": 8}})
    assert [changed.for_layer("a", "fc", first_fc=f).d for f in (True, False)] == [8, 8]
    changed = Config.load({"preset": "accurate", "fc": {"d": 8}, "first_fc": {"d": 2}})
    assert [changed.for_layer("a", "fc", first_fc=f).d for f in (True, False)] == [2, 8]


def test_accurate_shares_the_codebook_of_1x1_convolutions():
    accurate = Config.load("accurate")
    assert (accurate.conv.d, accurate.conv.K, accurate.conv.codebook_dtype) == (4, 256, "float16")
    point = accurate.for_layer("a", "conv1x1")
    assert (point.d, point.K, point.codebooks, point.output_scale) == (2, 256, "shared", True)


def test_overrides_by_name_and_glob_later_ones_win():
    config = Config.load(
        {
            "preset": "paper",
            "layers": {"conv1": {"quantize": False}, "fc*": {"d": 2, "K": 16}, "fc7": {"K": 64}},
        }
    )
    assert not config.for_layer("conv1", "conv").quantize
    assert config.for_layer("conv2", "conv") == PRESETS["paper"].conv
    assert (config.for_layer("fc6", "fc").d, config.for_layer("fc6", "fc").K) == (2, 16)
    assert (config.for_layer("fc7", "fc").d, config.for_layer("fc7", "fc").K) == (2, 64)
    # An override changes the fields it names; the rest comes from the layer's kind.
    assert config.for_layer("fc8", "fc", last_fc=True) == LayerConfig(d=2, K=16)


def test_kinds_learning_and_limits_can_be_changed():
    config = Config.load(
        {
            "preset": "small",
            "conv": {"K": 32},
            "min_weights": 10,
            "learning": {"sweeps": 0, "fc_damping": [2, "inf"]},
        }
    )
    assert (config.conv.d, config.conv.K) == (PRESETS["small"].conv.d, 32)
    assert config.min_weights == 10
    assert config.learning.sweeps == 0
    assert config.learning.fc_damping == (2.0, math.inf)
    assert config.learning.held_out == PRESETS["small"].learning.held_out


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_survive_json(preset, tmp_path):
    config = Config.load(preset)
    assert Config.load(json.loads(config.to_json())) == config
    path = tmp_path / "config.json"
    path.write_text(config.to_json(), encoding="utf-8")
    assert Config.load(path) == Config.load(str(path)) == config


def test_overrides_survive_json():
    config = Config.load({"layers": {"fc*": {"K": 8, "codebook_dtype": "int8"}}})
    assert Config.load(json.loads(config.to_json())) == config
    assert Config.load(config) is config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"preset": "papr"}, "did you mean paper"),
        ({"layer": {}}, "did you mean layers"),
        ({"conv": {"k": 3}}, "it takes: quantize, d, K"),
        ({"conv": 3}, "conv must be an object"),
        ({"layers": {"conv1": {"quantise": False}}}, "did you mean quantize"),
        ({"layers": ["conv1"]}, "layers must map"),
        ({"conv": {"K": 1}}, "K must be a whole number from 2 to 256, got 1"),
        ({"conv": {"K": 257}}, "from 2 to 256"),
        ({"conv": {"K": 2.5}}, "whole number"),
        ({"conv": {"K": True}}, "whole number"),
        ({"fc": {"d": 0}}, "d must be a whole number from 1"),
        ({"layers": {"x": {"d": 0}}}, "d must be a whole number from 1"),
        ({"fc": {"codebooks": "many"}}, "must be one of per_subspace, shared, per_group"),
        ({"fc": {"codebooks": ["shared"]}}, "must be one of"),
        ({"fc": {"codebook_dtype": "float64"}}, "must be one of float32"),
        ({"fc": {"quantize": "no"}}, "quantize must be true or false"),
        ({"min_weights": -1}, "min_weights must be"),
        ({"learning": {"sweeps": -1}}, "sweeps must be"),
        ({"learning": {"sweep": 1}}, "did you mean sweeps"),
        ({"learning": {"held_out": 0.9}}, "held_out must be from 0 to 0.5"),
        ({"learning": {"held_out": "many"}}, "held_out must be from 0 to 0.5"),
        ({"learning": {"conv_scale": "much"}}, "conv_scale must be"),
        ({"learning": {"conv_damping": []}}, "conv_damping must be a list"),
        ({"learning": {"conv_damping": [0]}}, "conv_damping must be a list"),
        ({"learning": {"fc_damping": ["x"]}}, "fc_damping must be a list"),
        ({"learning": {"gram_init": 1}}, "gram_init must be true or false"),
    ],
)
def test_bad_settings_say_what_was_expected(values, message):
    with pytest.raises(ConfigError, match=message):
        Config.load(values)


@pytest.mark.parametrize("source", ["papers", "no/such/file.json"])
def test_unknown_presets_and_files(source):
    with pytest.raises(ConfigError, match="the presets are: paper, accurate, small"):
        Config.load(source)


@pytest.mark.parametrize(("text", "message"), [("{", "not a JSON"), ("[1]", "hold a JSON object")])
def test_unreadable_files(tmp_path, text, message):
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        Config.load(path)


def test_an_override_that_fits_no_layer_names_near_ones():
    config = Config.load({"layers": {"conv_1": {"K": 8}}})
    config.check_names(["conv_1", "conv_2"])
    with pytest.raises(ConfigError, match=r"no layer is called 'conv_1'.*did you mean.*conv1"):
        config.check_names(["conv1", "fc"])


def test_dampings_become_tuples_of_floats():
    assert LearningConfig(fc_damping=[1, "inf"]).fc_damping == (1.0, math.inf)
