"""Preprocessing against Pillow used directly, and against arithmetic written out."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from qcnn_tflite.calibration.preprocessing import Preprocessing
from qcnn_tflite.errors import ConfigError, DataError


def picture(width: int = 90, height: int = 60, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """A smooth image with some noise: resampling filters differ on it."""
    rng = np.random.default_rng(seed)
    channels = len(Image.new(mode, (1, 1)).getbands())
    small = rng.integers(0, 256, (7, 9, channels), np.uint8)
    image = Image.fromarray(small.squeeze()).resize((width, height), Image.Resampling.BICUBIC)
    noise = rng.integers(-20, 20, (height, width, channels)).squeeze()
    pixels = (np.asarray(image).astype(int) + noise).clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


def test_squash_crop_bgr_and_arithmetic():
    image = picture()
    mean, std = (10.0, 20.0, 30.0), (2.0, 4.0, 8.0)
    prepare = Preprocessing(
        size=(40, 50), crop=(33, 44), channels="BGR", scale=0.5, mean=mean, std=std
    )
    resized = np.asarray(image.resize((50, 40), Image.Resampling.BILINEAR)).astype(np.float64)
    expected = resized[3 : 3 + 33, 3 : 3 + 44, ::-1] * 0.5
    expected = (expected - mean) / std
    result = prepare(image)
    assert result.dtype == np.float32
    assert result.shape == prepare.output_shape == (33, 44, 3)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("width", "height", "resized"),
    [(90, 60, (48, 32)), (60, 90, (32, 48)), (101, 64, (50, 32)), (64, 101, (32, 50)), (32, 32, (32, 32))],
)  # fmt: skip
def test_shorter_side_rounds_the_longer_one_down(width, height, resized):
    image = picture(width, height)
    whole = np.asarray(image.resize(resized, Image.Resampling.BILINEAR))
    top, left = (resized[1] - 24) // 2, (resized[0] - 28) // 2
    prepare = Preprocessing(size=(32, 32), crop=(24, 28), resize="shorter_side")
    np.testing.assert_array_equal(prepare(image), whole[top : top + 24, left : left + 28])


def test_upscaling_equals_tiny_imagenet_recipe():
    image = picture(64, 64)
    prepare = Preprocessing(
        size=(256, 256), crop=(224, 224), resize="shorter_side", scale=1 / 255,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
    )  # fmt: skip
    pixels = np.asarray(
        image.resize((256, 256), Image.Resampling.BILINEAR).crop((16, 16, 240, 240))
    )
    expected = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(prepare(image), expected, atol=1e-5)


def test_no_resizing_refuses_another_size():
    prepare = Preprocessing(size=(60, 90), crop=(50, 50), resize="none")
    image = picture()
    np.testing.assert_array_equal(prepare(image), np.asarray(image)[5:55, 20:70])
    with pytest.raises(DataError, match=r"91x60.*takes 90x60"):
        prepare(picture(91, 60))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_comes_first(tmp_path, orientation):
    image = picture(48, 32)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    image.save(path, exif=exif)
    pixels = np.asarray(image)
    upright = {
        1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1],
        5: pixels.transpose(1, 0, 2), 6: np.rot90(pixels, -1),
        7: np.rot90(pixels, 2).transpose(1, 0, 2), 8: np.rot90(pixels),
    }[orientation]  # fmt: skip
    prepare = Preprocessing(size=upright.shape[:2], resize="none")
    np.testing.assert_array_equal(prepare(path), upright)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_lie_over_white(tmp_path, mode):
    path = tmp_path / "clear.png"
    if mode == "P":
        image = Image.new("P", (8, 4), 0)
        image.putpalette([200, 0, 0, 0, 0, 200])
        image.paste(1, (4, 0, 8, 4))
        image.save(path, transparency=0)
        expected = np.full((4, 8, 3), 255)
        expected[:, 4:] = (0, 0, 200)
    else:
        alpha = np.tile(np.arange(8, dtype=np.uint8) * 36, (4, 1))
        image = Image.new("RGB" if mode == "RGBA" else "L", (8, 4), 0)
        image.putalpha(Image.fromarray(alpha))
        image.save(path)
        expected = np.repeat(255 - alpha[:, :, None].astype(int), 3, axis=2)
    result = Preprocessing(size=(4, 8))(path)
    np.testing.assert_allclose(result, expected, atol=1)


def test_transparency_is_resolved_before_resizing():
    # Black under a clear half must not bleed into the white.
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:, 8:] = 255
    result = Preprocessing(size=(4, 4))(pixels)
    np.testing.assert_array_equal(result, np.full((4, 4, 3), 255, np.float32))


def test_modes_of_files(tmp_path):
    grey = picture(20, 10, "L")
    grey.save(tmp_path / "grey.png")
    rgb = Preprocessing(size=(10, 20))(tmp_path / "grey.png")
    np.testing.assert_array_equal(rgb, np.repeat(np.asarray(grey)[:, :, None], 3, axis=2))
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 256 + 77).save(tmp_path / "grey16.png")
    np.testing.assert_array_equal(Preprocessing(size=(10, 20))(tmp_path / "grey16.png"), rgb)
    picture(20, 10).convert("CMYK").save(tmp_path / "print.jpg")
    assert Preprocessing(size=(10, 20))(tmp_path / "print.jpg").shape == (10, 20, 3)


def test_greyscale_network():
    image = picture(28, 28)
    prepare = Preprocessing(size=(28, 28), channels="GRAY", scale=1 / 255, mean=(0.5,), std=(2.0,))
    expected = (np.asarray(image.convert("L"))[:, :, None] / 255 - 0.5) / 2
    np.testing.assert_allclose(prepare(image), expected, atol=1e-6)
    np.testing.assert_array_equal(
        prepare(np.asarray(image.convert("L"))[:, :, None]), prepare(image.convert("L"))
    )


def test_mean_image_is_cropped_with_the_image():
    rng = np.random.default_rng(1)
    mean_image = rng.uniform(0, 255, (60, 90, 3)).astype(np.float32)
    image = picture()
    prepare = Preprocessing(
        size=(60, 90), crop=(20, 30), channels="BGR", mean_image=mean_image, std=(2.0, 2.0, 2.0)
    )
    whole = (np.asarray(image)[:, :, ::-1] - mean_image) / 2
    np.testing.assert_allclose(prepare(image), whole[20:40, 30:60], atol=1e-4)


@pytest.mark.parametrize("with_mean_image", [False, True])
def test_metadata_round_trip(with_mean_image):
    mean_image = np.random.default_rng(0).uniform(0, 255, (40, 50, 3)) if with_mean_image else None
    original = Preprocessing(
        size=(40, 50), crop=(33, 44), channels="BGR", scale=1 / 255, mean=(0.1, 0.2, 0.3),
        std=(0.5, 0.6, 0.7), mean_image=mean_image,
    )  # fmt: skip
    text = json.dumps({"format": 1, "input": {**original.to_metadata(), "later": "ignored"}})
    read = Preprocessing.from_metadata(json.loads(text), mean_image)
    assert read.to_metadata() == original.to_metadata()
    assert set(original.to_metadata()) == {
        "resize", "size", "crop", "channels", "scale", "mean", "std", "mean_image",
    }  # fmt: skip
    np.testing.assert_array_equal(read(picture()), original(picture()))


def test_metadata_defaults():
    read = Preprocessing.from_metadata({"input": {"size": [8, 8]}})
    assert read.to_metadata() == Preprocessing(size=(8, 8)).to_metadata()
    grey = Preprocessing.from_metadata({"input": {"size": [8, 8], "channels": "GRAY"}})
    assert grey.output_shape == (8, 8, 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "at least"),
        ({"crop": [8, 8]}, "at least"),
        ({"size": [8]}, "size: expected"),
        ({"size": [8, 8.5]}, "size: expected"),
        ({"size": [0, 8]}, "size: expected"),
        ({"size": [8, 10**9]}, "size: expected"),
        ({"size": [8, 8], "crop": [9, 8]}, "larger than size"),
        ({"size": [8, 8], "resize": "lanczos"}, "resize: expected one of squash"),
        ({"size": [8, 8], "channels": "HSV"}, "channels: expected one of RGB"),
        ({"size": [8, 8], "channels": ["R"]}, "channels: expected one of RGB"),
        ({"size": [8, 8], "mean": [1, 2]}, "mean: expected 3 numbers"),
        ({"size": [8, 8], "mean": "123"}, "mean: expected 3 numbers"),
        ({"size": [8, 8], "std": [1, 0, 1]}, "must not be 0"),
        ({"size": [8, 8], "scale": float("nan")}, "scale: expected a number"),
        ({"size": [8, 8], "scale": True}, "scale: expected a number"),
        ({"size": [8, 8], "mean_image": True}, "mean image"),
    ],
)
def test_contradictions_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        Preprocessing.from_metadata({"input": values})


def test_mean_image_must_fit():
    with pytest.raises(ConfigError, match=r"mean_image: expected.*\(8, 8, 3\), got \(4, 4, 3\)"):
        Preprocessing(size=(8, 8), mean_image=np.zeros((4, 4, 3)))
    with pytest.raises(ConfigError, match="shorter_side"):
        Preprocessing(size=(8, 8), resize="shorter_side", mean_image=np.zeros((8, 8, 3)))


def test_unreadable_images_are_named(tmp_path):
    prepare = Preprocessing(size=(8, 8))
    with pytest.raises(DataError, match=r"gone\.png.*no such image"):
        prepare(tmp_path / "gone.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(DataError, match=r"text\.png is not an image"):
        prepare(tmp_path / "text.png")
    whole = io.BytesIO()
    picture().save(whole, "PNG")
    (tmp_path / "cut.png").write_bytes(whole.getvalue()[:2000])
    with pytest.raises(DataError, match=r"cut\.png cannot be decoded"):
        prepare(tmp_path / "cut.png")
    with pytest.raises(DataError, match="the image is not an image"):
        prepare(b"no image")
    with pytest.raises(DataError, match="uint8"):
        prepare(np.zeros((8, 8, 3)))
    with pytest.raises(DataError, match=r"got \(8, 8, 2\)"):
        prepare(np.zeros((8, 8, 2), np.uint8))


def test_decompression_bomb(tmp_path, monkeypatch):
    picture().save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match=r"bomb\.png has more than 1,000 pixels"):
        Preprocessing(size=(8, 8))(tmp_path / "bomb.png")


def test_oblong_image_does_not_ask_for_the_memory():
    with pytest.raises(DataError, match="too oblong"):
        Preprocessing(size=(256, 256), resize="shorter_side")(Image.new("L", (600_000, 1)))
