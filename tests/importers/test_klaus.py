"""Klaus's pictures and palettes: in, out, and what is refused."""

from __future__ import annotations

import io
import os
import sqlite3
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import qcnn_tflite
from qcnn_tflite.errors import ModelError, OutputError, OutputExistsError
from qcnn_tflite.graph import decoded_float_model, find_layers, layer_weights, read_model, rewrite
from qcnn_tflite.graph.ops import QuantizedLayer
from qcnn_tflite.importers.klaus import (
    KlausLayer,
    Palette,
    apply,
    export_layers,
    read_codes,
    read_layer,
    read_palettes,
)
from qcnn_tflite.models.assemble import assemble
from qcnn_tflite.models.networks import Conv, Dense, Network, Norm, Pool
from qcnn_tflite.models.weights import random_weights

DATA = Path(os.environ.get("QCNN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
PUBLISHED = DATA / "klaus"

NETWORK = Network(
    (12, 12, 3),
    (
        Conv("conv1", 8, 3), Norm(), Pool(2, 2), Conv("conv2", 8, 3, pad=1),
        Dense("fc6", 40), Dense("fc7", 30), Dense("fc8"),
    ),
    classes=10,
)  # fmt: skip


@pytest.fixture(scope="module")
def float_model() -> bytes:
    return assemble(NETWORK, random_weights(NETWORK, 0), name="net")


def layers_of(seed: int = 0) -> dict[str, KlausLayer]:
    """A layer with 16 codes, two with 256."""
    rng = np.random.default_rng(seed)
    shapes = NETWORK.weight_shapes()
    found = {}
    for name, K in (("fc6", 16), ("fc7", 256), ("fc8", 256)):
        inputs, outputs = shapes[name]
        entries = np.sort(rng.normal(0, 0.1, K)).astype(np.float16).astype(np.float32)
        bias = rng.normal(0, 0.1, outputs).astype(np.float16).astype(np.float32)
        codes = rng.integers(0, K, (outputs, inputs), np.uint8)
        found[name] = KlausLayer(codes, Palette(entries, bias))
    return found


def run(data: bytes, image: np.ndarray) -> np.ndarray:
    interpreter = qcnn_tflite.Interpreter(model_content=data, kernel="reference")
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize(
    ("name", "shape", "distinct"),
    [("layer-11.png", (2048, 2048), 255), ("layer-12.png", (1000, 2048), 243)],
)
def test_published_pictures(name, shape, distinct, tmp_path):
    if not PUBLISHED.is_dir():
        pytest.skip(f"{PUBLISHED} is missing (QCNN_TEST_DATA)")
    layer = read_layer(PUBLISHED / name)
    assert layer.codes.shape == shape
    assert layer.distinct == distinct
    assert "codes only, there is no palette" in str(layer)
    with pytest.raises(ModelError, match="codes and no palette; give ccv's sqlite3 file"):
        layer.quantized()
    # Through a model and out again: a network of this one layer, with a palette made up.
    network = Network((1, 1, shape[1]), (Dense("fc"),), classes=shape[0])
    entries = np.linspace(-0.1, 0.1, 256, dtype=np.float16).astype(np.float32)
    data = apply(
        assemble(network, random_weights(network, 0), name="net"),
        {"fc": KlausLayer(layer.codes, Palette(entries))},
    )
    weights = layer_weights(
        read_model(decoded_float_model(data)), find_layers(read_model(decoded_float_model(data)))[0]
    )
    np.testing.assert_array_equal(weights[:, 0, 0], entries[layer.codes])
    files = export_layers(data, tmp_path)
    with Image.open(PUBLISHED / name) as before, Image.open(tmp_path / files[0]) as after:
        assert before.mode == after.mode == "L"
        assert before.tobytes() == after.tobytes()


def test_there_and_back(float_model, tmp_path):
    layers = layers_of()
    data = apply(float_model, layers)
    files = export_layers(data, tmp_path)
    # conv, normalization, pooling, conv, and then the fully-connected ones, as ccv counts.
    assert set(files) == {
        "layer-4.png", "layer-4.npy", "layer-5.png", "layer-5.npy", "layer-6.png", "layer-6.npy",
        "palettes.sqlite3",
    }  # fmt: skip
    for number, name in ((4, "fc6"), (5, "fc7"), (6, "fc8")):
        for source in ("palettes.sqlite3", f"layer-{number}.npy"):
            found = read_layer(tmp_path / f"layer-{number}.png", tmp_path / source)
            np.testing.assert_array_equal(found.codes, layers[name].codes)
            np.testing.assert_array_equal(found.palette.entries, layers[name].palette.entries)
            if source.endswith("sqlite3"):
                np.testing.assert_array_equal(found.palette.bias, layers[name].palette.bias)
            else:
                assert found.palette.bias is None
    again = {
        name: read_layer(tmp_path / f"layer-{n}.png", tmp_path / "palettes.sqlite3")
        for n, name in ((4, "fc6"), (5, "fc7"), (6, "fc8"))
    }
    assert apply(float_model, again) == data
    image = np.random.default_rng(1).standard_normal((1, 12, 12, 3)).astype(np.float32)
    expected = run(decoded_float_model(data), image)
    assert expected.std() > 1e-4
    np.testing.assert_allclose(run(data, image), expected, atol=1e-6)


def write_database(path: Path, rows: list[tuple], table: str = "layer_data") -> None:
    """As ccv's convnet writes it."""
    database = sqlite3.connect(path)
    database.execute(
        f"CREATE TABLE {table} (layer INTEGER PRIMARY KEY ASC, weight BLOB, bias BLOB, half_precision INTEGER)"
    )
    database.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", rows)
    database.commit()
    database.close()


def test_database_of_ccv(tmp_path):
    half = np.linspace(-1, 1, 16, dtype=np.float16)
    single = np.linspace(-2, 2, 256, dtype=np.float32)
    bias = np.arange(5, dtype=np.float32)
    path = tmp_path / "a file with ?#%20.sqlite3"
    write_database(
        path,
        [
            (
                0,
                np.zeros(1000, np.float16).tobytes(),
                bias.astype(np.float16).tobytes(),
                1,
            ),  # a convolution
            (10, half.tobytes(), bias.astype(np.float16).tobytes(), 1),
            (11, single.tobytes(), bias.tobytes(), 0),
            (12, half.tobytes(), None, 1),
        ],
    )
    before = path.read_bytes()
    found = read_palettes(path)
    assert list(found) == [10, 11, 12]
    np.testing.assert_array_equal(found[10].entries, half)
    np.testing.assert_array_equal(found[11].entries, single)
    for number in (10, 11):
        np.testing.assert_array_equal(found[number].bias, bias)
    assert found[12].bias is None
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # no journal either
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        assert list(read_palettes(path)) == [10, 11, 12]
    finally:
        tmp_path.chmod(0o755)


def test_what_does_not_belong_together(float_model, tmp_path):
    Image.fromarray(np.full((5, 7), 16, np.uint8)).save(tmp_path / "layer-3.png")
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(tmp_path / "codes.png")
    half = np.zeros(16, np.float16).tobytes()
    write_database(tmp_path / "p.sqlite3", [(3, half, None, 1), (4, half, half, 1)])
    with pytest.raises(ModelError, match="holds the code 16, its palette has 16 entries"):
        read_layer(tmp_path / "layer-3.png", tmp_path / "p.sqlite3")
    with pytest.raises(ModelError, match=r"not called layer-NN\.png"):
        read_layer(tmp_path / "codes.png", tmp_path / "p.sqlite3")
    with pytest.raises(ModelError, match="has 5 outputs, its bias 16 values"):
        read_layer(tmp_path / "codes.png", tmp_path / "p.sqlite3", number=4)
    with pytest.raises(ModelError, match=r"palettes of the layers \[3, 4\], none of layer 9"):
        read_layer(tmp_path / "codes.png", tmp_path / "p.sqlite3", number=9)
    layer = read_layer(tmp_path / "codes.png", tmp_path / "p.sqlite3", number=3)
    with pytest.raises(ModelError, match="no fully-connected layer 'conv1'; it has: fc6, fc7, fc8"):
        apply(float_model, {"conv1": layer})
    with pytest.raises(ModelError, match="fc7 has 30 outputs and 40 inputs, the picture 5 and 7"):
        apply(float_model, {"fc7": layer})


def test_export_of_other_models(float_model, tmp_path):
    with pytest.raises(ModelError, match="convert with the preset klaus"):
        export_layers(float_model, tmp_path)
    q = layers_of()["fc7"].quantized()
    scaled = QuantizedLayer(q.codebooks, q.codes, q.bias, np.ones(30, np.float32))
    with pytest.raises(ModelError, match="convert with the preset klaus"):
        export_layers(rewrite(read_model(float_model), {"fc7": scaled}), tmp_path)
    data = rewrite(read_model(float_model), {"fc7": q})
    with pytest.raises(OutputError, match="does not exist"):
        export_layers(data, tmp_path / "gone")
    (tmp_path / "layer-5.npy").write_text("kept")
    with pytest.raises(OutputExistsError):
        export_layers(data, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["layer-5.npy"]
    assert len(export_layers(data, tmp_path, overwrite=True)) == 3


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, body: bytes, depth: int = 8, colour: int = 0) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_hostile_pictures(tmp_path):
    path = tmp_path / "layer-1.png"

    def refused(data: bytes, pattern: str) -> None:
        path.write_bytes(data)
        with pytest.raises(ModelError, match=pattern):
            read_codes(path)

    good = png(4, 3, zlib.compress(b"\0abcd" * 3))
    path.write_bytes(good)
    np.testing.assert_array_equal(read_codes(path), np.tile(list(b"abcd"), (3, 1)))
    refused(b"", "is not a PNG of codes")
    refused(b"\xff\xd8\xff\xe0 a picture", "is not a PNG of codes")
    for length in range(8, 50, 3):  # behind that all pixels are there
        refused(good[:length], "is not a PNG of codes")
    refused(png(4, 3, b"rubbish"), "is not a PNG of codes")
    # Bombs: a few bytes that claim gigabytes, and a body that unpacks to more than the picture.
    bomb = zlib.compress(bytes(1 << 24), 9)
    refused(png(60_000, 60_000, bomb), "too many")
    refused(png(1 << 30, 1 << 30, bomb), "too many|not a PNG")
    refused(png((1 << 20) + 1, 1, bomb), "too many")
    path.write_bytes(png(4, 3, bomb))
    assert read_codes(path).shape == (3, 4)
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 27), 9))
    refused(good[:33] + text + good[33:], "is not a PNG of codes")
    refused(png(4, 3, zlib.compress(b"\0abcd" * 9), colour=2), "mode RGB; codes are 8-bit grey")
    refused(png(4, 3, zlib.compress(b"\0abcdabcd" * 3), depth=16), "mode I;16; codes are 8-bit")
    stream = io.BytesIO()
    Image.new("L", (4, 3)).save(stream, "BMP")
    refused(stream.getvalue(), "is not a PNG of codes")
    with pytest.raises(ModelError, match="no such file"):
        read_codes(tmp_path / "gone.png")


def test_hostile_databases(tmp_path):
    path = tmp_path / "p.sqlite3"

    def refused(pattern: str) -> None:
        with pytest.raises(ModelError, match=pattern):
            read_palettes(path)
        path.unlink()

    half = np.ones(16, np.float16).tobytes()
    with pytest.raises(ModelError, match="cannot be read"):
        read_palettes(path)
    for data in (b"", b"\xff\xd8\xff\xe0 a picture"):
        path.write_bytes(data)
        refused("is not a sqlite3 file")
    path.write_bytes(b"SQLite format 3\0" + bytes(84) + b"rubbish" * 100)
    refused("is not a sqlite3 file of ccv")
    write_database(path, [(n, half, half, 1) for n in range(400)])
    whole = path.read_bytes()
    for length in range(16, len(whole), 3000):
        path.write_bytes(whole[:length])
        refused("is not a sqlite3 file of ccv|layer_data")
    write_database(path, [], table="other")
    refused("has no table layer_data")
    for row, pattern in (
        ((1, "text", None, 1), "holds no weights"),
        ((1, None, None, 1), "holds no weights"),
        ((1, half[:-1], None, 1), "31 bytes of palette"),
        ((1, half, half[:-1], 1), "31 bytes of bias"),
        ((1, half, "text", 1), "bytes of palette and 4 of bias"),
        ((1, b"", None, 1), "expected a palette of 1 to 256 floats"),
        ((1, np.full(4, np.nan, np.float16).tobytes(), None, 1), "no finite float16"),
        ((1, np.full(4, 1e9, np.float32).tobytes(), None, 0), "no finite float16"),
        ((1, half, np.full(4, np.inf, np.float16).tobytes(), 1), "a bias that is not finite"),
    ):
        write_database(path, [row])
        refused(pattern)
    # A view in place of the table could compute for ever.
    database = sqlite3.connect(path)
    database.execute(
        "CREATE VIEW layer_data AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT i AS layer, NULL AS weight, NULL AS bias, 1 AS half_precision FROM n"
    )
    database.commit()
    database.close()
    refused("has no table layer_data")


def test_hostile_npy(tmp_path):
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(tmp_path / "layer-1.png")
    path = tmp_path / "p.npy"
    for array, pattern in (
        (np.zeros((2, 2)), r"a palette of 1 to 256 floats, got \(2, 2\)"),
        (np.zeros(300), "1 to 256 floats"),
        (np.zeros(4, int), "1 to 256 floats"),
        (np.full(4, np.nan), "no finite float16"),
        (np.array([{}], object), r"is not an \.npy of numbers"),
    ):
        np.save(path, array, allow_pickle=True)
        with pytest.raises(ModelError, match=pattern):
            read_layer(tmp_path / "layer-1.png", path)
    path.write_bytes(b"\xff\xd8\xff\xe0 a picture")
    with pytest.raises(ModelError, match=r"is not an \.npy"):
        read_layer(tmp_path / "layer-1.png", path)
