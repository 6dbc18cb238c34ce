"""A .caffemodel through TensorFlow Lite, against a forward pass in NumPy that knows only Caffe's terms."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from qcnn_tflite import models
from qcnn_tflite.errors import ModelError
from qcnn_tflite.graph import read_model
from qcnn_tflite.graph.edit import drop_operators, editable_copy
from qcnn_tflite.models.readers.caffemodel import Caffemodel

# Caffe's definitions: name, outputs, kernel, stride, pad, groups; pools take the ceiling.
ALEXNET = (
    ("conv", "conv1", 96, 11, 4, 0, 1), ("lrn", 5, 1e-4, 0.75, 1.0), ("pool", 3, 2),
    ("conv", "conv2", 256, 5, 1, 2, 2), ("lrn", 5, 1e-4, 0.75, 1.0), ("pool", 3, 2),
    ("conv", "conv3", 384, 3, 1, 1, 1), ("conv", "conv4", 384, 3, 1, 1, 2),
    ("conv", "conv5", 256, 3, 1, 1, 2), ("pool", 3, 2),
    ("fc", "fc6", 4096), ("fc", "fc7", 4096), ("fc", "fc8", 1000),
)  # fmt: skip
CNN_S = (
    ("conv", "conv1", 96, 7, 2, 0, 1), ("lrn", 5, 5e-4, 0.75, 2.0), ("pool", 3, 3),
    ("conv", "conv2", 256, 5, 1, 1, 1), ("pool", 2, 2),
    ("conv", "conv3", 512, 3, 1, 1, 1), ("conv", "conv4", 512, 3, 1, 1, 1),
    ("conv", "conv5", 512, 3, 1, 1, 1), ("pool", 3, 3),
    ("fc", "fc6", 4096), ("fc", "fc7", 4096), ("fc", "fc8", 1000),
)  # fmt: skip
NETS = {"alexnet": (ALEXNET, 227), "cnn_s": (CNN_S, 224)}


def blobs(name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Random weights in Caffe's shapes; fc8 so small that logits are around 1."""
    layers, side = NETS[name]
    rng = np.random.default_rng(3)
    found = {}
    shape = (3, side, side)
    for kind, *settings in layers:
        if kind == "conv":
            layer, outputs, kernel, stride, pad, groups = settings
            sizes = (outputs, shape[0] // groups, kernel, kernel)
            shape = (outputs, *((n + 2 * pad - kernel) // stride + 1 for n in shape[1:]))
        elif kind == "pool":
            size, stride = settings
            shape = (shape[0], *(-(-(n - size) // stride) + 1 for n in shape[1:]))
            continue
        elif kind == "fc":
            layer, outputs = settings
            sizes = (outputs, int(np.prod(shape)))
            shape = (outputs,)
        else:
            continue
        weights = rng.standard_normal(sizes, np.float32)
        weights *= np.sqrt(2 / np.prod(sizes[1:])) * (0.02 if layer == "fc8" else 1)
        found[layer] = weights, rng.standard_normal(sizes[0], np.float32) * np.float32(0.1)
    return found


def forward(name: str, found: dict, image: np.ndarray) -> np.ndarray:
    """Logits of one image of shape (3, H, W), in float64."""
    x = image.astype(np.float64)
    for kind, *settings in NETS[name][0]:
        if kind == "conv":
            layer, outputs, kernel, stride, pad, groups = settings
            weights, bias = (a.astype(np.float64) for a in found[layer])
            x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
            windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (1, 2))
            windows = windows[:, ::stride, ::stride]
            depth, width = len(x) // groups, outputs // groups
            parts = [
                np.tensordot(
                    weights[g * width : (g + 1) * width],
                    windows[g * depth : (g + 1) * depth],
                    ((1, 2, 3), (0, 3, 4)),
                )
                for g in range(groups)
            ]
            x = np.maximum(np.concatenate(parts) + bias[:, None, None], 0)
        elif kind == "lrn":
            size, alpha, beta, k = settings
            squares = np.pad(x**2, ((size // 2, size // 2), (0, 0), (0, 0)))
            sums = sum(squares[i : i + len(x)] for i in range(size))
            x = x * (k + alpha / size * sums) ** -beta
        elif kind == "pool":
            size, stride = settings
            count = -(-(x.shape[1] - size) // stride) + 1
            beyond = (count - 1) * stride + size - x.shape[1]
            x = np.pad(x, ((0, 0), (0, beyond), (0, beyond)), constant_values=-np.inf)
            windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))
            x = windows[:, ::stride, ::stride].max((3, 4))
        else:
            weights, bias = found[settings[0]]
            x = weights.astype(np.float64) @ x.reshape(-1) + bias
            if settings[0] != "fc8":
                x = np.maximum(x, 0)
    return x


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def record(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def blob(array: np.ndarray, legacy: bool, double: bool = False) -> bytes:
    if legacy:  # four dimensions, aligned to the right
        sizes = (1,) * (4 - array.ndim) + array.shape
        shape = b"".join(varint(i << 3) + varint(n) for i, n in enumerate(sizes, 1))
    else:
        shape = record(7, record(1, b"".join(map(varint, array.shape))))
    return shape + record(8 if double else 5, array.astype("<f8" if double else "<f4").tobytes())


def write_caffemodel(path: Path, found: dict, form: str) -> None:
    """`form`: "V0" and "V1" with legacy shapes, "V2"; each also with a layer that has no weights."""
    with open(path, "wb") as file:
        file.write(record(1, b"a net"))
        for layer, arrays in {"data": (), **found}.items():
            parts = [blob(a, form != "V2") for a in arrays]
            if form == "V2":
                body = record(1, layer.encode()) + record(2, b"Convolution")
                file.write(record(100, body + b"".join(record(7, p) for p in parts)))
            elif form == "V1":
                body = record(4, layer.encode()) + varint(5 << 3) + varint(4)
                file.write(record(2, body + b"".join(record(6, p) for p in parts)))
            else:
                inner = record(1, layer.encode()) + b"".join(record(50, p) for p in parts)
                file.write(record(2, record(1, inner)))


def logits(data: bytes, image: np.ndarray) -> np.ndarray:
    """Of a network whose last operator is the softmax."""
    model = editable_copy(read_model(data))
    last = len(model.subgraph.operators) - 1
    model.subgraph.outputs = model.subgraph.operators[last].inputs
    model.schema.signatureDefs = None
    drop_operators(model, {last})
    interpreter = Interpreter(model_content=model.to_bytes())
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]


@pytest.fixture(scope="module", params=list(NETS))
def case(request: pytest.FixtureRequest) -> tuple:
    found = blobs(request.param)
    side = NETS[request.param][1]
    # As large as pixels without their mean: local response normalization depends on it.
    image = np.random.default_rng(4).normal(0, 60, (3, side, side)).astype(np.float32)
    return request.param, found, image, forward(request.param, found, image)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["V1", "V2"])
def test_logits(case, form, tmp_path):
    name, found, image, expected = case
    path = tmp_path / "net.caffemodel"
    write_caffemodel(path, found, form)
    model = models.load_float(name, path)
    path.unlink()
    assert model.labels[0] == "tench"
    assert model.licence is None
    assert 0.1 < expected.std() < 10  # else the tolerance would say nothing
    np.testing.assert_allclose(
        logits(model.data, image.transpose(1, 2, 0)[None]), expected, atol=1e-4, rtol=1e-4
    )


SMALL = {
    "conv1": (np.arange(54, dtype=np.float32).reshape(2, 3, 3, 3), np.ones(2, np.float32)),
    "fc": (np.arange(8, dtype=np.float32).reshape(4, 2), np.arange(4, dtype=np.float32)),
}


@pytest.mark.parametrize("form", ["V0", "V1", "V2"])
def test_blobs(tmp_path, form):
    path = tmp_path / "net.caffemodel"
    write_caffemodel(path, SMALL, form)
    found = Caffemodel(path)
    assert list(found) == ["conv1/0", "conv1/1", "fc/0", "fc/1"]
    for name, array in found.items():
        layer, part = name.split("/")
        expected = SMALL[layer][int(part)]
        np.testing.assert_array_equal(array.reshape(expected.shape), expected)
    assert found["fc/0"].shape == ((4, 2) if form == "V2" else (1, 1, 4, 2))


def test_blobs_of_doubles_and_in_pieces(tmp_path):
    path = tmp_path / "net.caffemodel"
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    body = record(1, b"a") + record(7, blob(array, legacy=False, double=True))
    pieces = [
        record(5, array.tobytes()[:8]),
        record(5, array.tobytes()[8:]),
    ]  # protobuf allows that
    shape = record(7, record(1, b"\2\3"))
    path.write_bytes(record(100, body + record(7, pieces[0] + shape + pieces[1])))
    found = Caffemodel(path)
    np.testing.assert_array_equal(found["a/0"], array)
    np.testing.assert_array_equal(found["a/1"], array)


def test_hostile_caffemodels(tmp_path):
    path = tmp_path / "net.caffemodel"

    def refused(data: bytes, pattern: str) -> None:
        path.write_bytes(data)
        with pytest.raises(ModelError, match=pattern):
            dict(Caffemodel(path))

    def one(body: bytes) -> bytes:
        return record(100, record(1, b"conv1") + record(7, body))

    refused(b"", "holds no layer with weights")
    refused(b"\xff\xd8\xff\xe0 a picture", "is not a .caffemodel")
    refused(b'name: "net"\nlayer {}', r"is not a \.caffemodel|holds no layer")
    write_caffemodel(path, SMALL, "V2")
    whole = path.read_bytes()
    for length in range(0, len(whole), 5):
        path.write_bytes(whole[:length])
        # A cut between two layers leaves a sound file; the network's check names what is missing.
        with contextlib.suppress(ModelError):
            assert len(dict(Caffemodel(path))) < 4
    data = record(5, bytes(16))
    refused(
        one(data + record(7, record(1, b"\3\3"))),
        r"blob conv1/0 of shape \[3, 3\] should have 9 .* has 4",
    )
    huge = varint(1 << 62)
    refused(one(data + record(7, record(1, huge * 4))), "the file is damaged")
    refused(
        one(data + record(7, record(1, varint((1 << 64) - 4) + varint((1 << 64) - 1)))),
        "is damaged",
    )
    refused(
        one(record(5, bytes(15)) + record(7, record(1, b"\4"))),
        "should have 4 numbers and has 3.75",
    )
    unpacked = b"".join(varint(5 << 3 | 5) + struct.pack("<f", i) for i in range(4))
    refused(one(unpacked + record(7, record(1, b"\4"))), "should have 4 numbers and has 0")
    nested = b""
    for _ in range(2000):
        nested = record(1, nested)
    path.write_bytes(record(2, nested))
    with pytest.raises(ModelError):
        Caffemodel(path)
    with pytest.raises(ModelError, match="no such file"):
        models.load_float("alexnet", tmp_path / "gone.caffemodel")


def test_caffemodel_of_another_network(tmp_path):
    path = tmp_path / "net.caffemodel"
    write_caffemodel(path, SMALL, "V1")
    with pytest.raises(
        ModelError, match=r"expected fc8/kernel, the file holds conv1/0, conv1/1, fc/0"
    ):
        models.load_float("alexnet", path)
