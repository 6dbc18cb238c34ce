"""Models written by the first version load and answer as they did, for ever, on every kernel."""

from __future__ import annotations

import ctypes
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from graph_builders import assert_close, run
from run_golden import EXACT, GOLDEN, TABLES, golden

from qcnn_tflite.errors import ModelError
from qcnn_tflite.graph import decoded_float_model, find_q_layers, read_model
from qcnn_tflite.graph.metadata import read_mean_image, read_metadata
from qcnn_tflite.runtime import Interpreter, kernels, library_path

FILES = GOLDEN / "q"
NAMES = sorted(path.stem for path in FILES.glob("*.tflite"))
KERNELS = [kernel.name for kernel in kernels() if kernel.available]


def sums() -> dict[str, str]:
    lines = (FILES / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def test_no_file_was_changed_or_taken_away() -> None:
    found = {
        str(path.relative_to(FILES)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in FILES.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }
    assert found == sums()


def test_there_is_a_file_of_every_kind() -> None:
    layers = [
        layer
        for name in NAMES
        for layer in find_q_layers(read_model((FILES / f"{name}.tflite").read_bytes()))
    ]
    for op in ("QConv", "QFC"):
        mine = [layer for layer in layers if layer.op == op]
        assert {layer.options["bits"] for layer in mine} == set(range(1, 9))
        assert {layer.options["activation"] for layer in mine} == {0, 1, 2, 3}
        assert {layer.codebook_dtype for layer in mine} == {"float32", "float16", "int8"}
        assert {layer.constants.scale is None for layer in mine} == {True, False}
        assert {layer.constants.bias is None for layer in mine} == {True, False}
        palettes = [q for q in mine if q.constants.d == 1 and len(q.constants.codebooks) == 1]
        assert {q.options["bits"] for q in palettes} >= {1, 2, 4, 8}
    convolutions = [layer for layer in layers if layer.op == "QConv"]
    assert {layer.options["padding"] for layer in convolutions} == {0, 1, 2}
    assert {layer.groups for layer in convolutions} >= {1, 2, 4}
    for key in ("stride_h", "stride_w", "dilation_h", "dilation_w", "pad_top", "pad_right"):
        assert len({layer.options[key] for layer in convolutions}) > 1, key
    assert {layer.options.get("keep_num_dims") for layer in layers} == {None, 0, 1}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", NAMES)
def test_answers_as_ever(name: str, kernel: str) -> None:
    x, wanted = golden(FILES / name)
    for threads in (1, 3):
        interpreter = Interpreter(FILES / f"{name}.tflite", kernel=kernel, num_threads=threads)
        interpreter.allocate_tensors()
        (detail,) = interpreter.get_input_details()
        interpreter.set_tensor(detail["index"], x.reshape(detail["shape"]))
        interpreter.invoke()
        y = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).ravel()
        limit = EXACT if kernel == "reference" else TABLES
        assert np.linalg.norm(y - wanted) <= limit * np.linalg.norm(wanted)


@pytest.mark.parametrize("name", NAMES)
def test_the_reader_decodes_as_ever(name: str) -> None:
    x, wanted = golden(FILES / name)
    data = (FILES / f"{name}.tflite").read_bytes()
    shape = read_model(data).subgraph.tensors[0].shape
    assert_close(run(decoded_float_model(data), x.reshape(shape))[0].ravel(), wanted)


def test_metadata_as_ever() -> None:
    data = (FILES / "network.tflite").read_bytes()
    model = read_model(data)
    wanted = json.loads((FILES / "network.json").read_text())
    mean = np.arange(6 * 6 * 3, dtype=np.float32).reshape(6, 6, 3) / 4
    assert read_metadata(model) == wanted
    np.testing.assert_array_equal(read_mean_image(model), mean)
    library = ctypes.CDLL(str(library_path()))
    for function, check in (
        ("qcnn_read_metadata", lambda found: json.loads(found) == wanted),
        ("qcnn_read_mean_image", lambda found: found == mean.astype(np.float16).tobytes()),
    ):
        start, size = ctypes.c_void_p(), ctypes.c_size_t()
        assert not getattr(library, function)(
            data, ctypes.c_size_t(len(data)), ctypes.byref(start), ctypes.byref(size)
        )
        assert check(ctypes.string_at(start.value or 0, size.value))


@pytest.mark.parametrize("path", sorted(FILES.glob("refused/*.tflite")), ids=lambda p: p.stem)
def test_what_a_later_version_wrote_is_refused_with_the_fix(path: Path) -> None:
    interpreter = Interpreter(path)
    with pytest.raises(ModelError, match=r"update qcnn_tflite$"):
        interpreter.allocate_tensors()
    with pytest.raises(ModelError, match=r"update qcnn_tflite$"):
        find_q_layers(read_model(path.read_bytes()))
