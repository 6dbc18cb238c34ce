"""Our metadata entries."""

from __future__ import annotations

import json

import numpy as np
import pytest
from graph_builders import ModelBuilder, weights

from qcnn_tflite.errors import ModelError
from qcnn_tflite.graph import read_mean_image, read_metadata, read_model, rewrite

VALUES = {
    "model": "tiny",
    "licence": "MIT",
    "input": {"resize": "squash", "size": [5, 4], "channels": "RGB", "scale": 1.0},
    "output": {"softmax_applied": True, "labels": ["Katze", "Hündin", "犬"]},
}


def builder() -> ModelBuilder:
    made = ModelBuilder()
    g = made.graph()
    x = g.tensor("x", (1, 4))
    g.ends([x], [g.fc(x, g.tensor("w", data=weights((4, 4))), None, (1, 4))])
    return made


def test_a_model_without_entries() -> None:
    model = read_model(builder().bytes())
    assert read_metadata(model) is None and read_mean_image(model) is None


def test_metadata_survives() -> None:
    mean = np.random.default_rng(0).uniform(0, 255, (5, 4, 3)).astype(np.float16)
    written = rewrite(read_model(builder().bytes()), {}, VALUES, mean.astype(np.float32))
    model = read_model(written)
    assert read_metadata(model) == {**VALUES, "format": 1}
    np.testing.assert_array_equal(read_mean_image(model), mean.astype(np.float32))
    (raw,) = [e.buffer for e in model.schema.metadata if e.name == b"qcnn_tflite"]
    assert json.loads(bytes(model.schema.buffers[raw].data)) == {**VALUES, "format": 1}


def test_entries_are_replaced_and_others_kept() -> None:
    made = builder()
    made.metadata("other", b"kept")
    first = rewrite(read_model(made.bytes()), {}, VALUES, np.zeros((5, 4, 3), np.float32))
    second = rewrite(read_model(first), {}, {**VALUES, "model": "second"}, None)
    model = read_model(second)
    assert [e.name for e in model.schema.metadata] == [
        b"other",
        b"qcnn_tflite.mean_image",
        b"qcnn_tflite",
    ]
    assert read_metadata(model)["model"] == "second"
    assert b'"tiny"' not in second
    assert rewrite(model, {}, None, None) == rewrite(read_model(second), {}, None, None)
    assert read_metadata(read_model(rewrite(model, {})))["model"] == "second"


def test_unknown_keys_are_ignored() -> None:
    values = {**VALUES, "colour": {"of": "magic"}}
    assert read_metadata(read_model(rewrite(read_model(builder().bytes()), {}, values)))["colour"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "has format None"),
        (b"{}", "has format None"),
        (b'{"format": 2}', "has format 2, this package reads format 1"),
    ],
)
def test_damaged_metadata_is_refused(data: bytes, words: str) -> None:
    made = builder()
    made.metadata("qcnn_tflite", data)
    with pytest.raises(ModelError, match=words):
        read_metadata(read_model(made.bytes()))


@pytest.mark.parametrize(
    ("size", "data"),
    [
        ([5, 4], bytes(5)),
        ([5, 4], bytes(118)),
        ([-1, 4], bytes(120)),
        ([5], bytes(120)),
        ("5x4", bytes(120)),
        (None, bytes(120)),
    ],
)
def test_a_mean_image_that_does_not_fit_is_refused(size: object, data: bytes) -> None:
    made = builder()
    made.metadata("qcnn_tflite", json.dumps({"format": 1, "input": {"size": size}}).encode())
    made.metadata("qcnn_tflite.mean_image", data)
    with pytest.raises(ModelError, match="mean image does not fit"):
        read_mean_image(read_model(made.bytes()))
