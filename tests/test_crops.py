"""Ten patches of an image, and images of every kind."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

import qcnn_tflite
from qcnn_tflite import models
from qcnn_tflite.errors import ConfigError, DataError
from qcnn_tflite.graph import read_model, rewrite

PREPARE = qcnn_tflite.Preprocessing(
    size=(36, 40), crop=(28, 28), channels="GRAY", scale=1 / 255, mean=(0.286,), std=(0.353,)
)


@pytest.fixture(scope="module")
def model() -> bytes:
    return models.load_float("default").data


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Garments larger than the network takes them, so that patches differ."""
    with np.load(models.test_images()) as archive:
        images = archive["images"][:20].reshape(20, 28, 28)
    return np.stack([np.asarray(Image.fromarray(i).resize((40, 36))) for i in images])


def patches(image: np.ndarray) -> np.ndarray:
    """Five windows of 28x28 in 36x40 and their mirror images, written out."""
    tops_and_lefts = [(0, 0), (0, 12), (8, 0), (8, 12), (4, 6)]
    cut = [image[t : t + 28, x : x + 28] for t, x in tops_and_lefts]
    cut += [patch[:, ::-1] for patch in cut]
    return ((np.stack(cut)[..., None] / 255 - 0.286) / 0.353).astype(np.float32)


def run(data: bytes, batch: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=data)
    interpreter.resize_tensor_input(0, batch.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], batch)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_ten_crops(pixels):
    np.testing.assert_allclose(PREPARE.ten_crops(pixels[0]), patches(pixels[0]), atol=1e-6)
    # The middle one is what the network gets otherwise.
    np.testing.assert_array_equal(PREPARE.ten_crops(pixels[0])[4], PREPARE(pixels[0]))


def test_mean_image_is_mirrored_with_the_patch():
    rng = np.random.default_rng(0)
    mean = rng.uniform(0, 255, (8, 10, 3)).astype(np.float32)
    prepare = qcnn_tflite.Preprocessing(size=(8, 10), crop=(6, 6), channels="BGR", mean_image=mean)
    image = rng.integers(0, 256, (8, 10, 3), np.uint8)
    difference = image[:, :, ::-1] - mean
    found = prepare.ten_crops(image)
    np.testing.assert_allclose(found[1], difference[:6, 4:], atol=1e-4)
    np.testing.assert_allclose(found[9], difference[1:7, 2:8][:, ::-1], atol=1e-4)


def test_ten_crops_of_an_oblong_image():
    """Of the middle square, as Krizhevsky's 256x256."""
    prepare = qcnn_tflite.Preprocessing(size=(8, 8), crop=(6, 6), resize="shorter_side")
    image = np.random.default_rng(0).integers(0, 256, (8, 20, 3), np.uint8)
    np.testing.assert_array_equal(prepare.ten_crops(image)[0], image[:6, 6:12])
    np.testing.assert_array_equal(prepare.ten_crops(image)[3], image[2:, 8:14])


@pytest.mark.parametrize("softmax", [True, False])
def test_classify_averages_probabilities(model, pixels, softmax):
    data = model
    if not softmax:
        # The metadata say that a softmax is still to come; ours then runs over the probabilities.
        data = rewrite(read_model(model), {}, {"output": {"softmax_applied": False, "labels": []}})
    outputs = run(model, patches(pixels[1]))
    if not softmax:
        powers = np.exp(outputs)
        outputs = powers / powers.sum(axis=1, keepdims=True)
    expected = outputs.mean(axis=0)
    found = qcnn_tflite.classify(data, pixels[1], preprocessing=PREPARE, crops=10, top=10)
    for prediction in found:
        assert prediction.probability == pytest.approx(expected[prediction.index], abs=1e-5)
    assert [p.index for p in found] == list(np.argsort(-expected))
    assert found.seconds > 0
    single = qcnn_tflite.classify(data, pixels[1], preprocessing=PREPARE, top=10)
    assert single[0].probability == pytest.approx(outputs[4].max(), abs=1e-5)
    assert single[0].probability != pytest.approx(found[0].probability, abs=1e-3)


def test_evaluate_averages_probabilities(model, pixels):
    averages = np.stack([run(model, patches(image)).mean(axis=0) for image in pixels])
    singles = np.stack([run(model, patches(image)[4:5])[0] for image in pixels])
    labels = averages.argmax(axis=1)
    assert (singles.argmax(axis=1) != labels).any()  # else one crop would do as well
    ten = qcnn_tflite.evaluate(model, (pixels, labels), preprocessing=PREPARE, crops=10)
    one = qcnn_tflite.evaluate(model, (pixels, labels), preprocessing=PREPARE)
    assert ten.top1 == 1
    assert one.top1 == pytest.approx((singles.argmax(axis=1) == labels).mean())
    both = qcnn_tflite.evaluate(model, (pixels, labels), model, preprocessing=PREPARE, crops=10)
    assert both.agreement == 1
    assert both.output_error == 0


def test_prepared_inputs_have_one_crop(model, pixels):
    inputs = np.stack([PREPARE(image) for image in pixels])
    with pytest.raises(DataError, match="ten crops are cut out of image files or uint8 pixels"):
        qcnn_tflite.evaluate(model, (inputs, np.zeros(20, int)), preprocessing=PREPARE, crops=10)


@pytest.mark.parametrize("crops", [0, 5, "ten", None])
def test_other_numbers_of_crops(model, pixels, crops):
    with pytest.raises(ConfigError, match="crops: expected 1 or 10"):
        qcnn_tflite.classify(model, pixels[0], preprocessing=PREPARE, crops=crops)
    with pytest.raises(ConfigError, match="crops: expected 1 or 10"):
        qcnn_tflite.evaluate(model, (pixels, np.zeros(20, int)), preprocessing=PREPARE, crops=crops)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    with np.load(models.test_images()) as archive:
        return Image.fromarray(archive["images"][0].reshape(28, 28)).resize((56, 56))


@pytest.mark.parametrize(
    "kind",
    ["bmp", "jpeg", "png", "png with alpha", "palette", "16 bits", "tiff", "webp", "gif", "cmyk"],
)
def test_images_of_every_kind(model, picture, tmp_path, kind):
    """The same garment in each, upright and on the same ground."""
    expected = qcnn_tflite.classify(model, picture)
    colour = picture.convert("RGB")
    path = tmp_path / f"image.{kind}"
    if kind == "bmp":
        colour.save(path, "BMP")  # as in 2016
    elif kind == "jpeg":  # turned, and its EXIF data say so
        exif = Image.Exif()
        exif[0x0112] = 6
        colour.rotate(90, expand=True).save(path, "JPEG", exif=exif, quality=97, subsampling=0)
    elif kind == "png with alpha":  # what is white shows through; black below must not
        grey = np.asarray(picture)
        alpha = 255 - grey
        Image.fromarray(np.dstack([np.zeros((*grey.shape, 3), np.uint8), alpha])).save(path, "PNG")
    elif kind == "palette":
        colour.quantize(256).save(path, "PNG")
    elif kind == "16 bits":
        Image.fromarray(np.asarray(picture).astype(np.uint16) * 257).save(path, "PNG")
    elif kind == "cmyk":
        colour.convert("CMYK").save(path, "TIFF")
    else:
        options = {"lossless": True} if kind == "webp" else {}
        picture.save(path, kind.upper(), **options)
    found = qcnn_tflite.classify(model, path)
    assert found[0].label == expected[0].label
    assert found[0].probability == pytest.approx(expected[0].probability, abs=0.02)


def test_command(tmp_path, model, picture, capsys):
    from qcnn_tflite.cli import main

    (tmp_path / "net.tflite").write_bytes(model)
    picture.save(tmp_path / "image.bmp")
    arguments = ["classify", str(tmp_path / "net.tflite"), str(tmp_path / "image.bmp")]
    assert main([*arguments, "--crops", "10"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{tmp_path / 'image.bmp'}  (")
    assert lines[0].endswith(" ms)")
    assert len(lines) == 6
    assert main([*arguments, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)[str(tmp_path / "image.bmp")]) == 5
    with pytest.raises(SystemExit):
        main([*arguments, "--crops", "3"])
    capsys.readouterr()
    images, labels = tmp_path / "images.npz", np.zeros(1, int)
    np.savez(images, images=np.asarray(picture)[None, :, :, None], labels=labels)
    assert main(["evaluate", str(tmp_path / "net.tflite"), str(images), "--crops", "10"]) == 0
    assert capsys.readouterr().out.startswith("1 images: top-1 ")
