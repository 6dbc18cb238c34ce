"""Folders of the Quantized-CNN program: in, out, and what is refused."""

from __future__ import annotations

import functools
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from quantized_cnn_folders import ALEXNET, codes_of, plain, write_layer

import qcnn_tflite
from qcnn_tflite import models
from qcnn_tflite.errors import ModelError, OutputError, OutputExistsError
from qcnn_tflite.graph import find_layers, read_mean_image, read_metadata, read_model, rewrite
from qcnn_tflite.graph.ops import QuantizedLayer
from qcnn_tflite.importers.bin_files import read_bin, read_cbn, write_bin, write_cbn
from qcnn_tflite.importers.quantized_cnn import (
    export_folder,
    import_folder,
    missing_files,
    read_layer,
)
from qcnn_tflite.models.assemble import assemble
from qcnn_tflite.models.networks import Dense, Network
from qcnn_tflite.models.weights import random_weights

DATA = Path(os.environ.get("QCNN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
PUBLISHED = DATA / "qcnn_alexnet"

PRESENT = [name for name in ALEXNET if name != "fc6"]


def packed(codes: np.ndarray, bits: int) -> bytes:
    """A .cbn written bit by bit from the description of the format."""
    head = struct.pack(f"<{codes.ndim + 2}i", codes.ndim, *codes.shape, bits)
    flat, per_block = codes.reshape(-1), 32768 // bits
    blocks = []
    for at in range(0, len(flat), per_block):
        digits = "".join(f"{code:0{bits}b}" for code in flat[at : at + per_block])
        blocks.append(int(digits.ljust(32768, "0"), 2).to_bytes(4096, "big"))
    return head + b"".join(blocks)


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all of AlexNet's files, with random contents."""
    folder = tmp_path_factory.mktemp("complete")
    rng = np.random.default_rng(0)
    for layer in ALEXNET:
        write_layer(folder, layer, rng)
    mean = rng.uniform(90, 130, (3, 256, 256)).astype(np.float16)  # as the metadata keep it
    (folder / "imagenet_mean.single.bin").write_bytes(plain(mean.astype(np.float32)))
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published folder, with codes of fc6 that this test makes up."""
    if not PUBLISHED.is_dir():
        pytest.skip(f"{PUBLISHED} is missing (QCNN_TEST_DATA)")
    folder = tmp_path_factory.mktemp("published")
    for path in PUBLISHED.iterdir():
        shutil.copyfile(path, folder / path.name)
    codes = codes_of("fc6", np.random.default_rng(1))
    (folder / "bvlc_alexnet_aCaF.asmtLst.16.cbn").write_bytes(write_cbn(codes, 5))
    return folder


@pytest.mark.parametrize("bits", [1, 3, 4, 5, 7, 8])
@pytest.mark.parametrize("count", [1, 6553, 6554, 20_000])
def test_cbn(tmp_path, bits, count):
    codes = np.random.default_rng(bits).integers(0, 1 << bits, (count, 2), np.uint8)
    expected = packed(codes, bits)
    assert write_cbn(codes, bits) == expected
    (tmp_path / "x.cbn").write_bytes(expected)
    np.testing.assert_array_equal(read_cbn(tmp_path / "x.cbn"), codes)


def test_bin(tmp_path):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert write_bin(array) == plain(array)
    (tmp_path / "x.bin").write_bytes(plain(array))
    np.testing.assert_array_equal(read_bin(tmp_path / "x.bin", "<f4"), array)


def test_round_trip_is_exact(complete, tmp_path):
    data = import_folder(complete, tmp_path / "net.tflite")
    assert (tmp_path / "net.tflite").read_bytes() == data
    names = export_folder(tmp_path / "net.tflite", tmp_path / "out")
    assert sorted(names) == sorted(p.name for p in (tmp_path / "out").iterdir())
    assert sorted(names) == sorted(p.name for p in complete.iterdir())
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (complete / name).read_bytes(), name
    assert len(data) < 13_700_000  # 13.21 MB of files, labels and a mean image of half the size
    metadata = read_metadata(read_model(data))
    assert metadata["model"] == "alexnet"
    assert metadata["output"]["labels"][0] == "tench"


def test_the_size_is_as_published(complete, tmp_path):
    sizes = [p.stat().st_size for p in complete.glob("bvlc*")]
    assert sum(sizes) == 13_211_272  # what the authors counted as 12.60 MiB


def test_published_folder_says_what_is_missing():
    if not PUBLISHED.is_dir():
        pytest.skip(f"{PUBLISHED} is missing (QCNN_TEST_DATA)")
    lacking = "bvlc_alexnet_aCaF.asmtLst.16.cbn (codes of fc6)"
    assert missing_files(PUBLISHED, "alexnet") == [lacking]
    with pytest.raises(ModelError) as error:
        import_folder(PUBLISHED)
    assert f"lacks 1 of the 24 files of alexnet: {lacking}; add" in str(error.value)
    with pytest.raises(ModelError, match=r"asmtLst\.16\.cbn cannot be read"):
        read_layer(PUBLISHED, "alexnet", "fc6")


class Lookups:
    """A layer straight from the files' bytes, in float64: one codeword a position, subspace and output."""

    def __init__(self, folder: Path, layer: str) -> None:
        number, outputs, kernel, M, K, d, bits = ALEXNET[layer]

        def array(kind: str, start: int) -> np.ndarray:
            raw = (folder / f"bvlc_alexnet_aCaF.{kind}.{number:02}.bin").read_bytes()
            return np.frombuffer(raw, "<f4", offset=start).astype(np.float64)

        self.books = array("ctrdLst", 16).reshape(M, K, d)
        self.bias = array("biasVec", 8)
        raw = (folder / f"bvlc_alexnet_aCaF.asmtLst.{number:02}.cbn").read_bytes()
        shape = (outputs, kernel, kernel, M) if kernel else (outputs, 1, 1, M)
        start = 24 if kernel else 16
        blocks = np.frombuffer(raw, np.uint8, offset=start).reshape(-1, 4096)
        per_block = 32768 // bits
        digits = np.unpackbits(blocks, axis=1)[:, : per_block * bits].reshape(-1, bits)
        codes = digits @ (1 << np.arange(bits)[::-1])
        self.codes = codes[: np.prod(shape)].reshape(shape)

    def weights(self) -> np.ndarray:
        """(C_out, kH, kW, M * d)."""
        words = self.books[np.arange(self.codes.shape[3]), self.codes]
        return words.reshape(*self.codes.shape[:3], -1)

    def convolution(self, x: np.ndarray, stride: int, pad: int, groups: int) -> np.ndarray:
        x = np.pad(x.astype(np.float64), ((pad, pad), (pad, pad), (0, 0)))
        side = self.codes.shape[1]
        windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), (0, 1))
        windows = windows[::stride, ::stride]  # rows, columns, channels, kH, kW
        weights = self.weights()
        depth, width = x.shape[2] // groups, len(weights) // groups
        parts = [
            np.tensordot(
                windows[:, :, g * depth : (g + 1) * depth],
                weights[g * width : (g + 1) * width, :, :, :depth],
                ((2, 3, 4), (3, 1, 2)),
            )
            for g in range(groups)
        ]
        return np.maximum(np.concatenate(parts, axis=2) + self.bias, 0)


@pytest.mark.data
@pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors:UserWarning")
def test_published_layers_against_numpy(published):
    """Input and output of every layer while the network runs on one of the images of 2016."""
    data = import_folder(published)
    interpreter = qcnn_tflite.Interpreter(
        model_content=data, kernel="reference", experimental_preserve_all_tensors=True
    )
    interpreter.allocate_tensors()
    prepare = qcnn_tflite.Preprocessing.from_metadata(
        read_metadata(read_model(data)), read_mean_image(read_model(data))
    )
    image = prepare(published / "ILSVRC2012_val_00000001.BMP")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
    interpreter.invoke()
    tensors = {t["name"]: t["index"] for t in interpreter.get_tensor_details()}

    def tensor(name: str) -> np.ndarray:
        return interpreter.get_tensor(tensors[name])[0]

    convolutions = {
        "conv1": ("image", 4, 0, 1), "conv2": ("pool1", 1, 2, 2), "conv3": ("pool2", 1, 1, 1),
        "conv4": ("conv3", 1, 1, 2), "conv5": ("conv4", 1, 1, 2),
    }  # fmt: skip
    for name, (before, *settings) in convolutions.items():
        expected = Lookups(published, name).convolution(tensor(before), *settings)
        assert expected.std() > 0.01
        scale = np.abs(expected).max()
        np.testing.assert_allclose(tensor(name) / scale, expected / scale, atol=1e-5, err_msg=name)
    flat = tensor("pool3").transpose(2, 0, 1).reshape(-1)  # channels first
    np.testing.assert_array_equal(tensor("flatten"), flat)
    assert_dense(published, "fc6", flat, tensor("fc6"))


def assert_dense(folder: Path, name: str, before: np.ndarray, found: np.ndarray) -> None:
    layer = Lookups(folder, name)
    expected = layer.weights()[:, 0, 0] @ before.astype(np.float64) + layer.bias
    if name != "fc8":
        expected = np.maximum(expected, 0)
    scale = np.abs(expected).max()
    assert (expected > scale / 100).sum() > 100
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-5, err_msg=name)


@pytest.mark.data
@pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors:UserWarning")
def test_published_fc7_and_fc8_against_numpy():
    """On inputs of both signs: behind made-up codes of fc6 every output of fc7 is negative."""
    if not PUBLISHED.is_dir():
        pytest.skip(f"{PUBLISHED} is missing (QCNN_TEST_DATA)")
    network = Network((1, 1, 4096), (Dense("fc7", 4096), Dense("fc8")))
    float_model = read_model(assemble(network, random_weights(network, 0), name="end"))
    layers = {name: read_layer(PUBLISHED, "alexnet", name) for name in ("fc7", "fc8")}
    interpreter = qcnn_tflite.Interpreter(
        model_content=rewrite(float_model, layers),
        kernel="reference",
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    values = np.random.default_rng(0).standard_normal((1, 1, 1, 4096), np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    tensors = {t["name"]: t["index"] for t in interpreter.get_tensor_details()}
    fc7 = interpreter.get_tensor(tensors["fc7"])[0]
    assert_dense(PUBLISHED, "fc7", values.reshape(-1), fc7)
    assert_dense(PUBLISHED, "fc8", fc7, interpreter.get_tensor(tensors["fc8"])[0])


@pytest.mark.data
@pytest.mark.parametrize("layer", PRESENT)
def test_present_layers_of_the_published_folder(layer):
    if not PUBLISHED.is_dir():
        pytest.skip(f"{PUBLISHED} is missing (QCNN_TEST_DATA)")
    found = read_layer(PUBLISHED, "alexnet", layer)
    expected = Lookups(PUBLISHED, layer)
    np.testing.assert_array_equal(found.codes, expected.codes.transpose(3, 0, 1, 2))
    np.testing.assert_array_equal(found.codebooks, expected.books)
    np.testing.assert_array_equal(found.bias, expected.bias)


@pytest.mark.data
def test_mean_image_preprocessing(published):
    """Blue first, squashed to 256x256, the mean image subtracted, the middle cut out."""
    data = import_folder(published)
    prepare = qcnn_tflite.Preprocessing.from_metadata(
        read_metadata(read_model(data)), read_mean_image(read_model(data))
    )
    path = published / "ILSVRC2012_val_00000002.BMP"
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB").resize((256, 256), Image.Resampling.BILINEAR))
    raw = (published / "imagenet_mean.single.bin").read_bytes()
    mean = np.frombuffer(raw, "<f4", offset=16).reshape(3, 256, 256)
    expected = (pixels[:, :, ::-1].astype(np.float64) - mean.transpose(1, 2, 0))[14:241, 14:241]
    np.testing.assert_allclose(prepare(path), expected, atol=0.07)  # the mean is kept as float16
    answers = qcnn_tflite.classify(data, path)
    assert len(answers) == 5
    assert answers[0].label in models.get("alexnet").labels


@functools.cache
def float_alexnet():
    return read_model(models.load_float("alexnet", "random").data)


def q_alexnet(**changes) -> bytes:
    """As `convert` makes it: channels last before fc6, no mean image."""
    float_model = float_alexnet()
    rng = np.random.default_rng(5)
    quantized = {}
    for layer in find_layers(float_model):
        _, outputs, kernel, M, K, d, _ = ALEXNET[layer.name]
        # Logits of around 1, so that the softmax does not saturate.
        size = 5e-8 if layer.name == "fc8" else 0.025
        books = rng.standard_normal((M, K, d)).astype(np.float32) * np.float32(size)
        if layer.name == "conv1":
            books[:, :, 3:] = 0
        codes = rng.integers(0, K, (M, outputs, kernel or 1, kernel or 1), np.uint8)
        bias = rng.standard_normal(outputs).astype(np.float32)
        quantized[layer.name] = QuantizedLayer(books, codes, bias)
    for name, change in changes.items():
        quantized[name] = change(quantized[name])
    return rewrite(float_model, {n: q for n, q in quantized.items() if q is not None})


def run(data: bytes, image: np.ndarray) -> np.ndarray:
    interpreter = qcnn_tflite.Interpreter(model_content=data, kernel="reference")
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_a_converted_model_goes_out(tmp_path):
    """fc6 reads channels last here and channels first there: other files, the same network."""

    def halved(q):
        return QuantizedLayer(q.codebooks.astype(np.float16), q.codes, q.bias)

    data = q_alexnet(conv3=halved)
    export_folder(data, tmp_path / "out")
    assert missing_files(tmp_path / "out", "alexnet") == []
    codes = read_cbn(tmp_path / "out" / "bvlc_alexnet_aCaF.asmtLst.16.cbn")
    assert codes.shape == (4096, 9216)
    again = import_folder(tmp_path / "out")
    image = np.random.default_rng(6).normal(0, 60, (1, 227, 227, 3)).astype(np.float32)
    expected = run(data, image)
    again = run(again, image)
    assert 0.002 < expected.max() < 0.5  # saturated, or the biases alone, it would say nothing
    np.testing.assert_allclose(again, expected, rtol=1e-4)


def test_what_the_format_cannot_express(tmp_path):
    folder = tmp_path / "out"
    scale = np.ones(4096, np.float32)
    for change, message in (
        (lambda q: None, "layer fc7 of alexnet is not quantized here"),
        (lambda q: QuantizedLayer(q.codebooks, q.codes, q.bias, scale), "fc7 has an output scale"),
    ):
        with pytest.raises(ModelError, match=message):
            export_folder(q_alexnet(fc7=change), folder)
    with pytest.raises(ModelError, match="conv2 has codebooks for each group"):
        export_folder(
            q_alexnet(
                conv2=lambda q: QuantizedLayer(np.repeat(q.codebooks, 2, 0), q.codes, q.bias)
            ),
            folder,
        )
    with pytest.raises(ModelError, match="this model is fashion_alexnet"):
        export_folder(models.load_float("default").data, folder)
    assert not folder.exists()


def test_output_folders(complete, tmp_path):
    data = import_folder(complete)
    with pytest.raises(OutputError, match="does not exist"):
        export_folder(data, tmp_path / "no" / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept")
    with pytest.raises(OutputExistsError):
        export_folder(data, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine"]
    export_folder(data, tmp_path / "out", overwrite=True)
    assert missing_files(tmp_path / "out", "alexnet") == []
    assert (tmp_path / "out" / "mine").read_text() == "kept"
    (tmp_path / "net.tflite").write_text("kept")
    with pytest.raises(OutputExistsError):
        import_folder(complete, tmp_path / "net.tflite")
    assert (tmp_path / "net.tflite").read_text() == "kept"


@pytest.mark.parametrize(
    ("model", "numbers"),
    [
        ("alexnet", [1, 5, 9, 11, 13, 16, 19, 22]),
        ("caffenet", [1, 5, 9, 11, 13, 16, 19, 22]),
        ("cnn_s", [1, 5, 8, 10, 12, 15, 18, 21]),
        ("vgg16", [1, 3, 6, 8, 11, 13, 15, 18, 20, 22, 25, 27, 29, 32, 35, 38]),
    ],
)
def test_numbers_of_the_layers(tmp_path, model, numbers):
    """As the program's own tables of layers count them."""
    files = missing_files(tmp_path, model)
    assert [int(f.split(".")[2]) for f in files] == [n for n in numbers for _ in range(3)]


def test_uncompressed_codes(complete, tmp_path):
    """asmtLst.NN.bin: bytes that count from 1."""
    shutil.copytree(complete, tmp_path / "raw")
    path = tmp_path / "raw" / "bvlc_alexnet_aCaF.asmtLst.22.cbn"
    codes = read_cbn(path)
    path.with_suffix(".bin").write_bytes(plain(codes + np.uint8(1)))
    path.unlink()
    assert missing_files(tmp_path / "raw", "alexnet") == []
    layer = read_layer(tmp_path / "raw", "alexnet", "fc8")
    np.testing.assert_array_equal(layer.codes[:, :, 0, 0].T, codes)


def test_other_numbers_of_classes(complete, tmp_path):
    shutil.copytree(complete, tmp_path / "few")
    rng = np.random.default_rng(0)
    stem = tmp_path / "few" / "bvlc_alexnet_aCaF"
    Path(f"{stem}.biasVec.22.bin").write_bytes(plain(np.zeros(518, np.float32)))
    codes = rng.integers(0, 16, (518, 4096), np.uint8)
    Path(f"{stem}.asmtLst.22.cbn").write_bytes(write_cbn(codes, 4))
    data = import_folder(tmp_path / "few")
    assert run(data, np.zeros((1, 227, 227, 3), np.float32)).shape == (1, 518)
    assert read_metadata(read_model(data))["output"]["labels"] == []
    export_folder(data, tmp_path / "out")
    name = "bvlc_alexnet_aCaF.asmtLst.22.cbn"
    assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "few" / name).read_bytes()


def test_hostile_files(complete, tmp_path):
    folder = tmp_path / "hostile"
    shutil.copytree(complete, folder)
    bias, books, codes = (
        folder / f"bvlc_alexnet_aCaF.{kind}.01.{ending}"
        for kind, ending in (("biasVec", "bin"), ("ctrdLst", "bin"), ("asmtLst", "cbn"))
    )
    good = {path: path.read_bytes() for path in (bias, books, codes)}

    def refused(path: Path, data: bytes, pattern: str) -> None:
        path.write_bytes(data)
        with pytest.raises(ModelError, match=pattern):
            import_folder(folder)
        path.write_bytes(good[path])

    def head(*numbers: int) -> bytes:
        return struct.pack(f"<{len(numbers)}i", *numbers)

    for path in good:
        refused(path, b"", "expected 1 to 8 dimensions")
        refused(path, b"\xff\xd8\xff\xe0 a picture", "expected 1 to 8 dimensions")
        refused(path, good[path][:-1], "the file is damaged")
        refused(path, good[path] + b"\0", "the file is damaged")
        refused(path, good[path][:6], "expected 1 to 8 dimensions|must all be above 0|is damaged")
        refused(path, head(3, 1 << 30, 1 << 30, 1 << 30, 7), "the file is damaged")
        refused(path, head(2, -1, -4, 7), "must all be above 0")
        refused(path, head(1 << 30), "expected 1 to 8 dimensions at its beginning, got 1073741824")
    refused(codes, head(1, 4, 0), "codes of 1 to 8 bits, got 0")
    refused(codes, head(1, 4, 9), "codes of 1 to 8 bits, got 9")
    refused(codes, head(1, 4), "ends before its number of bits")
    refused(codes, write_cbn(np.zeros((96, 11), np.uint8), 7), "expected 4 dimensions")
    refused(
        codes, write_cbn(np.zeros((96, 5, 5, 1), np.uint8), 7), r"takes codes \[1, 96, 11, 11\]"
    )
    refused(books, plain(np.zeros((1, 100, 8), np.float32)), "has 100 codewords and codes up to 12")
    refused(books, plain(np.zeros((1, 300, 8), np.float32)), "has 300 codewords")
    refused(books, plain(np.zeros((2, 128, 8), np.float32)), "2 subspaces")
    refused(books, plain(np.zeros((128, 8), np.float32)), "expected 3 dimensions")
    refused(books, plain(np.full((1, 128, 8), np.nan, np.float32)), "NaN or infinite")
    refused(bias, plain(np.zeros(95, np.float32)), r"a bias of \[95\]")
    refused(bias, plain(np.full(96, np.inf, np.float32)), "NaN or infinite")
    mean = folder / "imagenet_mean.single.bin"
    mean.write_bytes(plain(np.zeros((3, 8, 8), np.float32)))
    with pytest.raises(ModelError, match=r"expected a mean image of shape \[3, 256, 256\]"):
        import_folder(folder)
    mean.unlink()
    assert read_mean_image(read_model(import_folder(folder))) is None


def test_folders_that_are_none(tmp_path):
    with pytest.raises(ModelError, match="is not a folder"):
        import_folder(tmp_path / "gone")
    with pytest.raises(ModelError, match="holds files of none of the networks"):
        import_folder(tmp_path)
    with pytest.raises(ModelError, match="got 'resnet50'"):
        import_folder(tmp_path, model="resnet50")
    with pytest.raises(ModelError, match="lacks 24 of the 24 files of caffenet"):
        import_folder(tmp_path, model="caffenet")
    with pytest.raises(ModelError, match="no layer 'conv9'"):
        read_layer(tmp_path, "alexnet", "conv9")
