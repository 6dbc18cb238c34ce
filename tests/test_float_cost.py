"""Predicted times of float layers."""

from __future__ import annotations

import pytest
from small_network import float_model

from qcnn_tflite import cost_model, float_cost, machine
from qcnn_tflite.coefficients import Coefficients
from qcnn_tflite.errors import ConfigError
from qcnn_tflite.graph import find_layers, read_model


@pytest.fixture(scope="module")
def layers():
    return {layer.name: layer for layer in find_layers(read_model(float_model()))}


def test_every_kernel_with_a_cost_model_has_float_times(layers):
    for kernel in cost_model.kernel_names():
        assert float_cost.predict_ms(layers["conv2"], kernel) > 0
        assert float_cost.predict_ms(layers["fc1"], kernel) > 0
        assert float_cost.origin(kernel)


def test_convolutions_cost_arithmetic_and_dense_layers_memory(layers):
    conv, dense = layers["conv2"], layers["fc1"]
    assert float_cost.counts(conv) == {
        "mac": 32 * 3 * 3 * 12 * conv.positions,
        "weight": 0,
        "layer": 1,
    }
    assert float_cost.counts(dense) == {"mac": 0, "weight": dense.weight_count, "layer": 1}


def test_known_times(layers, monkeypatch):
    """On an AMD EPYC AlexNet's conv3 (0.99 ms measured when this was fitted), as multiply-accumulates."""
    monkeypatch.setattr(machine, "cpu_id", lambda: "AuthenticAMD family 26")
    monkeypatch.setattr(float_cost, "COEFFICIENTS", Coefficients(float_cost.COEFFICIENTS.path, "x"))
    per_mac = float_cost.predict_ms(layers["conv2"], "avx512_vnni") / (
        32 * 3 * 3 * 12 * layers["conv2"].positions
    )
    assert 112_140_288 * per_mac == pytest.approx(0.99, rel=0.1)


def test_no_times_for_other_kernels(layers):
    with pytest.raises(
        ConfigError, match="no float cost of the kernel 'reference'; there is one of avx512_vnni"
    ):
        float_cost.predict_ms(layers["conv2"], "reference")
