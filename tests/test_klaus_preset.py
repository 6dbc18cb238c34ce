"""Preset klaus: one palette for each fully-connected layer, of 8, 4 or 2 bits."""

from __future__ import annotations

import numpy as np
import pytest

import qcnn_tflite
from qcnn_tflite import models
from qcnn_tflite.config import Config
from qcnn_tflite.errors import ConfigError
from qcnn_tflite.graph import find_layers, find_q_layers, layer_weights, read_model
from qcnn_tflite.importers.klaus import export_layers, read_layer
from qcnn_tflite.pq.scalar import fit_palette


def layers_of(result: qcnn_tflite.ConversionResult) -> dict:
    return {layer.name: layer for layer in find_q_layers(read_model(result.model))}


@pytest.fixture(scope="module")
def converted() -> qcnn_tflite.ConversionResult:
    return qcnn_tflite.convert("default", config="klaus", jobs=1)


def test_layers(converted):
    fates = {layer.name: layer.fate for layer in converted.report.layers}
    assert [name for name, fate in fates.items() if fate == "quantized"] == ["fc6", "fc7", "fc8"]
    found = layers_of(converted)
    assert {name: layer.constants.bits for name, layer in found.items()} == {
        "fc6": 4, "fc7": 8, "fc8": 8,
    }  # fmt: skip
    shapes = models.get("default").network.weight_shapes()
    for name, layer in found.items():
        q = layer.constants
        assert q.codebooks.dtype == np.float16
        assert q.codebooks.shape == (1, 1 << q.bits, 1)
        assert (np.diff(q.codebooks.ravel()) >= 0).all()
        assert q.scale is None
        assert q.codes.shape == (*shapes[name], 1, 1)


def test_palettes_are_the_best_ones(converted):
    before = read_model(converted.float_model)
    for layer in find_layers(before):
        if layer.kind != "fc":
            continue
        weights = layer_weights(before, layer)[:, 0, 0]
        q = layers_of(converted)[layer.name].constants
        palette = q.codebooks.ravel().astype(np.float32)
        np.testing.assert_array_equal(palette, fit_palette(weights, len(palette)))
        decoded = palette[q.codes[:, :, 0, 0].T]
        nearest = np.abs(weights[..., None] - palette).min(axis=-1) if weights.size < 2e5 else None
        if nearest is not None:
            np.testing.assert_allclose(np.abs(weights - decoded), nearest, atol=1e-7)


def test_accuracy(converted):
    """The network hardly notices, as Klaus did not."""
    found = qcnn_tflite.evaluate(
        converted.model, models.test_images(), converted.float_model, kernel="reference"
    )
    assert found.top1_drop < 0.5
    assert found.agreement > 0.98


def test_bits_mix_freely(tmp_path):
    config = {"preset": "klaus", "layers": {"fc6": {"K": 256}, "fc7": {"K": 4}, "fc8": {"K": 16}}}
    result = qcnn_tflite.convert("default", config=config, jobs=1)
    bits = {name: layer.constants.bits for name, layer in layers_of(result).items()}
    assert bits == {"fc6": 8, "fc7": 2, "fc8": 4}
    files = export_layers(result.model, tmp_path)
    pictures = sorted(name for name in files if name.endswith("png"))
    # Five convolutions and three poolings come before.
    assert pictures == ["layer-10.png", "layer-8.png", "layer-9.png"]
    layer = read_layer(tmp_path / "layer-9.png", tmp_path / "palettes.sqlite3")
    assert layer.distinct == 4


def test_images_only_move_the_biases(converted):
    images = models.calibration_images()
    result = qcnn_tflite.convert("default", config="klaus", calibration=images, jobs=1)
    for name, layer in layers_of(result).items():
        before = layers_of(converted)[name].constants
        np.testing.assert_array_equal(layer.constants.codes, before.codes)
        np.testing.assert_array_equal(layer.constants.codebooks, before.codebooks)
        assert layer.constants.scale is None


def test_the_first_layer_has_settings_of_its_own():
    klaus = Config.load("klaus")
    assert klaus.for_layer("a", "fc", first_fc=True).K == 16
    assert klaus.for_layer("a", "fc").K == 256
    assert not klaus.for_layer("a", "conv", first_fc=True).quantize
    assert Config.load(klaus.to_dict()) == klaus
    # No preset but klaus has them, and then the first is as the others are.
    paper = Config.load("paper")
    assert paper.for_layer("a", "fc", first_fc=True) == paper.fc
    assert Config.load(paper.to_dict()) == paper
    changed = Config.load({"first_fc": {"K": 8}})
    assert changed.for_layer("a", "fc", first_fc=True) == paper.fc.__class__(d=4, K=8)
    assert Config.load({"preset": "klaus", "first_fc": {"K": 4}}).first_fc.d == 1
    with pytest.raises(ConfigError, match="first_fc has no setting"):
        Config.load({"first_fc": {"k": 8}})
