"""Core ML's packages hold the network's weights, and palettes as large as they should be."""

from __future__ import annotations

import builtins
import math

import pytest
import small_network

from benchmarks import coreml_size
from benchmarks.subjects import Subject
from qcnn_tflite.errors import ModelError, RuntimeMissingError
from qcnn_tflite.models import registry
from qcnn_tflite.models.weights import random_weights

SMALL = Subject("small", small_network.NETWORK, random_weights(small_network.NETWORK, 0))


@pytest.mark.filterwarnings("ignore")  # coremltools on Linux
def test_sizes():
    pytest.importorskip("coremltools")
    model = coreml_size.to_coreml(SMALL)
    shapes = small_network.NETWORK.weight_shapes()
    counts = {name: math.prod(shape) for name, shape in shapes.items()}
    floats = coreml_size.package_bytes(model)
    weights = 4 * sum(counts.values())
    # Biases, the graph and its names come on top.
    assert weights < floats < weights + 30_000
    palettized = sum(count for count in counts.values() if count >= 2048)
    for bits in (8, 4):
        saved = floats - coreml_size.package_bytes(coreml_size.palettized(model, bits))
        assert saved == pytest.approx(palettized * (32 - bits) / 8, rel=0.1)


@pytest.mark.filterwarnings("ignore")
def test_other_networks_are_refused():
    pytest.importorskip("coremltools")
    network = registry.get("mobilenet_v1").network
    with pytest.raises(ModelError, match="not written for Core ML"):
        coreml_size.to_coreml(Subject("mobilenet_v1", network, random_weights(network, 0)))


def test_without_coremltools(monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name == "coremltools":
            raise ImportError("No module named 'coremltools'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(RuntimeMissingError, match="pip install coremltools"):
        coreml_size.to_coreml(SMALL)
