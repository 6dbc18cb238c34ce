"""Reading and writing: nothing is lost, constants are aligned, hostile files are refused."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from graph_builders import OPS, ModelBuilder, assert_close, run, weights

from qcnn_tflite.errors import ModelError
from qcnn_tflite.graph import find_layers, read_model


def rich_model() -> ModelBuilder:
    """A bit of everything that a file can hold."""
    builder = ModelBuilder()
    main, other = builder.graph(), builder.graph("other")
    x = main.tensor("x", (1, 6, 6, 4))
    main.subgraph.tensors[x].shapeSignature = np.array([-1, 6, 6, 4], np.int32)
    w = main.tensor("w", data=weights((5, 3, 3, 4)))
    b = main.tensor("b", data=weights((5,)))
    y = main.conv(x, w, b, (1, 4, 4, 5), padding="VALID", activation=1)
    state = main.tensor("state", (1, 2), variable=True)
    quantization = schema.QuantizationParametersT()
    quantization.scale = np.array([0.5], np.float32)
    quantization.zeroPoint = np.array([3], np.int64)
    table = main.tensor("table", data=np.arange(6, dtype=np.int8))
    main.subgraph.tensors[table].quantization = quantization
    main.ends([x], [y])
    a = other.tensor("a", (2,))
    c = other.tensor("c", data=np.ones(2, np.float32))
    z = other.tensor("z", (2,))
    other.op(OPS.ADD, [a, c], [z], schema.AddOptionsT())
    other.ends([a], [z])
    assert state
    builder.metadata("min_runtime_version", b"1.5.0\0\0")
    builder.signature("serving_default", {"image": x}, {"label": y})
    return builder


def as_plain(value: Any) -> Any:
    """An unpacked flatbuffer as nested lists and dicts, to compare."""
    if hasattr(value, "__dict__"):
        return {key: as_plain(item) for key, item in vars(value).items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list):
        return [as_plain(item) for item in value]
    return value


def with_zip(data: bytes, files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO(data)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return archive.getvalue()


def test_nothing_is_lost_between_reading_and_writing() -> None:
    data = rich_model().bytes()
    written = read_model(data).to_bytes()
    assert as_plain(read_model(written).schema) == as_plain(read_model(data).schema)
    x = weights((1, 6, 6, 4), 1)
    assert_close(run(written, x)[0], run(data, x)[0])


def test_writing_is_reproducible() -> None:
    data = rich_model().bytes()
    first = read_model(data).to_bytes()
    assert read_model(data).to_bytes() == first
    assert read_model(first).to_bytes() == first


def test_constants_start_at_multiples_of_64() -> None:
    builder = rich_model()
    for size in (1, 3, 17, 64, 65, 4096):
        builder.graph().tensor(f"odd{size}", data=np.arange(size, dtype=np.uint8))
    written = read_model(builder.bytes()).to_bytes()
    packed = schema.Model.GetRootAs(written)
    starts = []
    for i in range(packed.BuffersLength()):
        field = packed.Buffers(i)._tab
        offset = field.Offset(4)
        if offset:
            starts.append(field.Vector(offset))
    assert len(starts) >= 10
    assert [start % 64 for start in starts] == [0] * len(starts)


def test_associated_files_survive() -> None:
    files = {"labels.txt": b"cat\ndog\n" * 50, "sub/vocab.txt": b"\x00\xff"}
    data = with_zip(rich_model().bytes(), files)
    written = read_model(data).to_bytes()
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
        assert [i.date_time for i in archive.infolist()] == [
            i.date_time for i in zipfile.ZipFile(io.BytesIO(data)).infolist()
        ]
    assert read_model(written).to_bytes() == written
    x = weights((1, 6, 6, 4), 1)
    assert_close(run(written, x)[0], run(data, x)[0])


def test_associated_files_that_inflate_to_gigabytes_are_refused() -> None:
    bomb = with_zip(rich_model().bytes(), {"labels.txt": b""})
    with zipfile.ZipFile(io.BytesIO(bomb)) as archive:
        offset = archive.start_dir
    huge = bytearray(bomb)
    huge[offset + 24 : offset + 28] = (1 << 30).to_bytes(4, "little")
    with pytest.raises(ModelError, match="associated files behind the model take 1073741824 bytes"):
        read_model(bytes(huge))


def test_damaged_associated_files_are_refused() -> None:
    data = bytearray(with_zip(rich_model().bytes(), {"labels.txt": b"cat\ndog\n" * 50}))
    start = data.index(b"labels.txt") + len("labels.txt")
    data[start : start + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(ModelError, match="ZIP of associated files"):
        read_model(bytes(data))


def test_a_large_model_is_read_and_written_quickly() -> None:
    builder = ModelBuilder()
    main = builder.graph()
    x = main.tensor("x", (1, 8192))
    w = main.tensor("w", data=np.zeros((2048, 8192), np.float32))  # 64 MiB
    main.ends([x], [main.fc(x, w, None, (1, 2048))])
    data = builder.bytes()
    start = time.perf_counter()
    written = read_model(data).to_bytes()
    assert time.perf_counter() - start < 5  # a loop over bytes in Python would take a minute
    assert abs(len(written) - len(data)) < 4096


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a TensorFlow Lite model"),
        (b"TFL3", "not a TensorFlow Lite model"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(64), "not a TensorFlow Lite model"),
        (b"PK\x03\x04" + bytes(64), "not a TensorFlow Lite model"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(8), "damaged or cut short"),
        (b"\xff\xff\xff\x7fTFL3" + bytes(64), "damaged or cut short"),
    ],
)
def test_files_that_are_no_models(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "photo.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=words) as error:
        read_model(path)
    assert "photo.tflite" in str(error.value)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such file"):
        read_model(tmp_path / "none.tflite")
    with pytest.raises(ModelError, match="cannot be read"):
        read_model(tmp_path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_model("a\0b")


def test_every_cut_of_a_file_is_refused_or_harmless() -> None:
    data = read_model(rich_model().bytes()).to_bytes()
    refused = 0
    for end in range(0, len(data), 7):
        try:
            find_layers(read_model(data[:end]))
        except ModelError:
            refused += 1
    assert refused > 0.9 * len(data) / 7


def test_damaged_bytes_raise_nothing_but_model_errors() -> None:
    data = read_model(rich_model().bytes()).to_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(3000):
        broken = bytearray(data)
        for at in rng.integers(8, len(data), 3):
            broken[at] = rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))])
        try:
            model = read_model(bytes(broken))
            find_layers(model)
            model.to_bytes()
        except ModelError:
            refused += 1
    assert 100 < refused < 3000


def _break(change: Callable[[Any], None]) -> bytes:
    builder = rich_model()
    change(builder.schema)
    return builder.bytes()


def _set(target: Any, name: str, value: Any) -> None:
    setattr(target, name, value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: _set(m, "version", 2), "schema version 3, got 2"),
        (lambda m: _set(m, "subgraphs", []), "no subgraph"),
        (lambda m: _set(m, "buffers", []), "no buffers"),
        (lambda m: _set(m.subgraphs[0].tensors[1], "buffer", 999), "buffer that does not exist"),
        (lambda m: _set(m.subgraphs[1].tensors[1], "buffer", 999), "buffer that does not exist"),
        (
            lambda m: _set(m.subgraphs[0].operators[0], "opcodeIndex", 9),
            "operator code that does not",
        ),
        (
            lambda m: _set(m.subgraphs[0].operators[0], "inputs", np.array([0, 77], np.int32)),
            "operator points to a tensor that does not exist",
        ),
        (
            lambda m: _set(m.subgraphs[0].operators[0], "outputs", np.array([-2], np.int32)),
            "operator points to a tensor that does not exist",
        ),
        (lambda m: _set(m.subgraphs[0], "inputs", np.array([-1], np.int32)), "input or output"),
        (lambda m: _set(m.subgraphs[0], "outputs", np.array([50], np.int32)), "input or output"),
        (lambda m: _set(m.metadata[0], "buffer", 77), "metadata entry points"),
        (lambda m: _set(m.signatureDefs[0], "subgraphIndex", 2), "signature points to a subgraph"),
        (
            lambda m: _set(m.signatureDefs[0].inputs[0], "tensorIndex", 77),
            "signature points to a tensor",
        ),
        (lambda m: _set(m.buffers[1], "offset", 1 << 40), "outside the file"),
        (lambda m: _set(m.buffers[1], "size", 4096), "outside the file"),
        (
            lambda m: _set(m.subgraphs[0].operators[0], "largeCustomOptionsOffset", 4096),
            "in one piece",
        ),
        (
            lambda m: _set(m.subgraphs[0].operators[0], "builtinOptionsType", 250),
            "newer than the installed ai-edge-litert",
        ),
    ],
)
def test_indices_are_checked(change: Callable[[Any], None], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        read_model(_break(change))


@pytest.mark.skipif(
    not hasattr(schema.TensorT(), "externalBuffer"), reason="newer than the installed schema"
)
def test_external_buffers_are_refused() -> None:
    data = _break(lambda m: _set(m.subgraphs[0].tensors[1], "externalBuffer", 1))
    with pytest.raises(ModelError, match="in one piece"):
        read_model(data)


def test_constants_behind_the_flatbuffer_are_read() -> None:
    """litert-quantizer writes all but small models so."""
    whole = read_model(rich_model().bytes())
    kept = {i: b.data.tobytes() for i, b in enumerate(whole.schema.buffers) if b.data is not None}
    size = len(_break(lambda m: _behind(m, kept, 1 << 20)))
    flat = _break(lambda m: _behind(m, kept, size))
    assert len(flat) == size
    data = flat + b"".join(kept.values())
    model = read_model(data)
    for i, content in kept.items():
        assert model.schema.buffers[i].data.tobytes() == content
    assert model.to_bytes() == whole.to_bytes()
    with pytest.raises(ModelError, match="outside the file"):
        read_model(data[:-1])
    # All of the file, again and again.
    several = schema.BufferT()
    several.offset, several.size = 2, size - 2
    builder = rich_model()
    builder.schema.buffers += [several] * 9
    with pytest.raises(ModelError, match="outside the file"):
        read_model(builder.bytes())
    builder.schema.buffers = builder.schema.buffers[:-8]
    read_model(builder.bytes())


def _behind(model: Any, kept: dict[int, bytes], first: int) -> None:
    """Constants are said to lie one after another in the file, from `first` on."""
    for i, content in kept.items():
        buffer = model.buffers[i]
        buffer.data, buffer.offset, buffer.size = None, first, len(content)
        first += len(content)


@pytest.mark.parametrize("shape", [(5, 3, 3, 5), (5, 3, 3, 1 << 30), (5, 3, 3, -4), (1 << 30,) * 4])
def test_a_shape_that_its_buffer_does_not_fill_is_refused(shape: tuple[int, ...]) -> None:
    model = read_model(
        _break(lambda m: _set(m.subgraphs[0].tensors[1], "shape", np.array(shape, np.int32)))
    )
    with pytest.raises(ModelError, match="the file is damaged"):
        model.constant(1)


def test_a_model_beyond_two_gigabytes_is_refused_before_it_is_built() -> None:
    model = read_model(rich_model().bytes())
    large = schema.BufferT()
    large.data = np.zeros(1 << 30, np.uint8)
    model.schema.buffers += [large] * 2
    with pytest.raises(ModelError, match="a flatbuffer ends at 2 GB"):
        model.to_bytes()
