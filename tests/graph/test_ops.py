"""The Python half of the op contract: options and decoding."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from flatbuffers import flexbuffers
from graph_builders import assert_close, random_constants, run, slow_decode

from qcnn_tflite.errors import ModelError
from qcnn_tflite.graph import (
    Layer,
    decode_options,
    decode_weights,
    decoded_float_model,
    encode_options,
)
from qcnn_tflite.graph.ops import CONV_KEYS, FC_KEYS

GOLDEN = Path(__file__).parents[2] / "custom_ops" / "tests" / "golden"
CONV = {key: n for n, key in enumerate(CONV_KEYS, 2)} | {"version": 1}
FC = {key: n * 300 for n, key in enumerate(FC_KEYS, 2)} | {"version": 1}


def flexible(values: dict) -> bytes:
    builder = flexbuffers.Builder()
    with builder.Map():
        for key, value in values.items():
            builder.Key(key)
            builder.Add(value)
    return bytes(builder.Finish())


@pytest.mark.parametrize(("values", "keys"), [(CONV, CONV_KEYS), (FC, FC_KEYS)])
def test_options_survive(values: dict[str, int], keys: tuple[str, ...]) -> None:
    data = encode_options(values)
    assert decode_options(data, keys) == values
    assert flexbuffers.Loads(data) == values
    assert encode_options(dict(reversed(values.items()))) == data


def test_the_golden_bytes_that_the_native_library_reads() -> None:
    lines = (GOLDEN / "options.txt").read_text().splitlines()[1:]
    assert {line.split()[0] for line in lines} == {"QConv", "QFC"}
    for line in lines:
        op, data, *pairs = line.split()
        values = {key: int(value) for key, value in (pair.split("=") for pair in pairs)}
        keys = CONV_KEYS if op == "QConv" else FC_KEYS
        assert decode_options(bytes.fromhex(data), keys) == values
        assert encode_options(values).hex() == data


def test_the_golden_model_that_the_native_library_runs() -> None:
    model = (GOLDEN / "small.tflite").read_bytes()
    x, y = (
        np.array(line.split()[1:], np.float32)
        for line in (GOLDEN / "small.txt").read_text().splitlines()
    )
    assert_close(run(decoded_float_model(model), x.reshape(1, 9, 8, 6))[0].ravel(), y)


def test_annotations_are_ignored() -> None:
    data = flexible({**FC, "x_note": "kmeans", "x_number": 3})
    assert decode_options(data, FC_KEYS) == FC


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cannot be read"),
        (b"\x00", "cannot be read|not a FlexBuffers map"),
        (b"\xff" * 40, "cannot be read|not a FlexBuffers map"),
        (bytes(flexbuffers.Dumps([1, 2, 3])), "not a FlexBuffers map"),
        (flexible({k: v for k, v in FC.items() if k != "bits"}), "missing: bits"),
        (flexible({**FC, "extra": 1}), "unknown: extra"),
        (flexible({**FC, "bits": 2.5}), "not an integer: bits"),
        (flexible({**FC, "version": 2}), "has version 2, this package reads version 1"),
        (flexible({"version": 2, "other": 1}), "has version 2, this package reads version 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        decode_options(data, FC_KEYS)


def test_damaged_options_raise_nothing_but_model_errors() -> None:
    data = encode_options(CONV)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        broken = bytearray(data[: rng.integers(1, len(data) + 1)])
        broken[rng.integers(len(broken))] = rng.integers(256)
        with contextlib.suppress(ModelError):
            decode_options(bytes(broken), CONV_KEYS)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("codebooks", ["per_subspace", "shared", "per_group"])
@pytest.mark.parametrize(
    ("channels", "groups", "d"), [(12, 1, 4), (12, 3, 3), (10, 2, 4), (6, 1, 8)]
)
def test_decoding(dtype: str, codebooks: str, channels: int, groups: int, d: int) -> None:
    layer = Layer(
        "l",
        "conv",
        0,
        0,
        0,
        0,
        0,
        None,
        (3, 2),
        groups=groups,
        in_channels=channels,
        out_channels=6,
    )
    q = random_constants(layer, d=d, K=5, codebooks=codebooks, dtype=dtype)
    np.testing.assert_array_equal(
        decode_weights(q, channels, groups), slow_decode(q, channels, groups)
    )


def test_sizes_are_those_of_the_constants() -> None:
    layer = Layer("l", "conv", 0, 0, 0, 0, 0, 1, (3, 3), in_channels=10, out_channels=7)
    q = random_constants(layer, d=4, K=20, dtype="float16", scale=True)
    assert q.sizes() == {
        "codebooks": 3 * 20 * 4 * 2,
        "codes": 3 * -(-63 * 5 // 8),
        "bias": 28,
        "scale": 28,
    }
