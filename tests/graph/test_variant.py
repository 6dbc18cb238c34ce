"""What kind of weights a file holds."""

from __future__ import annotations

import small_network

import qcnn_tflite
from qcnn_tflite.graph.variant import describe_variant
from qcnn_tflite.models.assemble import assemble
from qcnn_tflite.models.networks import Dense, Network
from qcnn_tflite.models.weights import random_weights


def test_float_and_quantized(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(small_network.float_model())
    assert describe_variant(path) == ("float", True)
    qcnn_tflite.convert(path, tmp_path / "q.tflite")
    assert describe_variant(tmp_path / "q.tflite") == ("q", True)
    dense = Network((2, 3, 4), (Dense("fc1", 5), Dense("fc2")), classes=3)
    path.write_bytes(assemble(dense, random_weights(dense, 0), name="dense"))
    assert describe_variant(path) == ("float", False)
