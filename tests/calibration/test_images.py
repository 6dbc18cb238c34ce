"""Calibration and labelled images from every source, and what is refused."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image

from qcnn_tflite.calibration.images import (
    CalibrationImages,
    LabelledImages,
    load_calibration,
    load_labelled,
)
from qcnn_tflite.calibration.preprocessing import Preprocessing
from qcnn_tflite.errors import DataError

SHAPE = (1, 8, 6, 3)
PREPARE = Preprocessing(size=(8, 6), scale=1 / 255)


def write_images(folder, names):
    """One-coloured images, number i of grey value 10·i, written in reverse order."""
    for i, name in reversed(list(enumerate(names))):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 16), (10 * i,) * 3).save(path)


def greys(images, size=2, indices=None):
    """The images' grey values, read in batches."""
    return [round(255 * float(x.mean())) for b in images.batches(size, indices) for x in b]


def test_folder_is_sorted_and_searched_with_subfolders(tmp_path):
    write_images(tmp_path, ["a.png", "b/x.jpg", "b/y.PNG", "c.bmp", "d.png"])
    (tmp_path / "labels.csv").write_text("file,label\n")
    (tmp_path / "._a.png").write_bytes(b"resource fork")
    images = load_calibration(tmp_path, PREPARE, SHAPE)
    assert len(images) == 5
    assert images.shape == (8, 6, 3)
    assert greys(images) == [0, 10, 20, 30, 40]
    assert greys(images) == [0, 10, 20, 30, 40]  # and again
    assert greys(images, 3, np.array([4, 0, 2])) == [40, 0, 20]
    assert [len(b) for b in images.batches(2)] == [2, 2, 1]
    batch = next(iter(images.batches(3)))
    assert batch.shape == (3, 8, 6, 3)
    assert batch.dtype == np.float32
    assert greys(load_calibration(str(tmp_path), PREPARE, SHAPE, limit=2)) == [0, 10]


def test_images_are_read_only_when_wanted(tmp_path):
    write_images(tmp_path, [f"{i:02}.png" for i in range(20)])
    read = []
    lock = threading.Lock()

    def prepare(index):
        with lock:
            read.append(index)
        return np.zeros((8, 6, 3), np.float32)

    batches = CalibrationImages(1000, (8, 6, 3), prepare).batches(4)
    next(batches)
    batches.close()
    assert len(read) <= 8  # the batch and the one ahead


def test_image_that_vanishes_on_the_way(tmp_path):
    write_images(tmp_path, [f"{i}.png" for i in range(6)])
    images = load_calibration(tmp_path, PREPARE, SHAPE)
    batches = images.batches(1)
    next(batches)
    (tmp_path / "4.png").unlink()
    with pytest.raises(DataError, match=r"4\.png: there is no such image"):
        list(batches)


def test_arrays_of_every_kind(tmp_path):
    values = np.random.default_rng(0).standard_normal((5, 8, 6, 3)).astype(np.float32)
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "one.npz", whatever=values)
    np.savez(tmp_path / "two.npz", images=values, labels=np.arange(5))
    sources = [
        values,
        values.astype(np.float64),
        list(values),
        [values[:2], values[2:]],
        (v for v in values),
        tmp_path / "a.npy",
        tmp_path / "one.npz",
        str(tmp_path / "two.npz"),
        load_calibration(values, None, SHAPE),
    ]
    for source in sources:
        images = load_calibration(source, None, SHAPE)
        assert len(images) == 5
        np.testing.assert_array_equal(np.concatenate(list(images.batches(2))), values)
    for source in (
        values,
        list(values),
        (v for v in values),
        load_calibration(values, None, SHAPE),
    ):
        limited = load_calibration(source, None, SHAPE, limit=3)
        np.testing.assert_array_equal(np.concatenate(list(limited.batches(2))), values[:3])


def test_endless_iterable_with_a_limit():
    def forever():
        while True:
            yield np.ones((8, 6, 3), np.float32)

    assert len(load_calibration(forever(), None, SHAPE, limit=7)) == 7


def test_pixels_are_prepared():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 12, 3), np.uint8)
    expected = np.stack([PREPARE(p) for p in pixels])
    for source in (pixels, list(pixels), [pixels[:3], pixels[3]]):
        images = load_calibration(source, PREPARE, SHAPE)
        np.testing.assert_array_equal(np.concatenate(list(images.batches(3))), expected)


def test_grey_pixels_without_a_channel_axis():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 28, 28), np.uint8)
    prepare = Preprocessing(size=(28, 28), channels="GRAY", mean=(0.0,), std=(1.0,))
    images = load_calibration(pixels, prepare, (1, 28, 28, 1))
    np.testing.assert_array_equal(np.concatenate(list(images.batches(3)))[..., 0], pixels)


def test_inputs_that_are_not_images():
    values = np.random.default_rng(0).standard_normal((6, 10)).astype(np.float32)
    images = load_calibration(values, None, (1, 10))
    np.testing.assert_array_equal(np.concatenate(list(images.batches(4))), values)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), r"expected inputs of shape \(8, 6, 3\).*got \(2, 8, 8, 3\)"),
        ([np.zeros((8, 6, 1), np.float32)], r"got \(8, 6, 1\)"),
        (np.zeros((2, 8, 6, 3), np.int32), "got int32"),
        ([np.zeros((8, 6, 3), np.uint8), np.zeros((8, 6, 3), np.float32)], "float32 among uint8"),
        (np.zeros((0, 8, 6, 3), np.float32), "no images"),
        ([], "no images"),
        ([(np.zeros((8, 6, 3), np.float32), 1)], "image and label"),
        ({"images": 1}, "got dict"),
        (7, "got int"),
        (b"abc", "got bytes"),
        ("/nowhere/at/all", "no such file or folder"),
    ],
)  # fmt: skip
def test_wrong_calibration_is_refused(source, message):
    with pytest.raises(DataError, match=message):
        load_calibration(source, PREPARE, SHAPE)


def test_wrong_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds no images"):
        load_calibration(tmp_path, PREPARE, SHAPE)
    for name in ("a.npy", "a.npz"):
        (tmp_path / name).write_bytes(b"\x93NUMPY rubbish")
        with pytest.raises(DataError, match="not an array file"):
            load_calibration(tmp_path / name, PREPARE, SHAPE)
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataError, match="not an array file"):
        load_calibration(tmp_path / "objects.npy", PREPARE, SHAPE)
    np.save(tmp_path / "lone.npy", np.zeros((2, 8, 6, 3), np.float32))
    (tmp_path / "lone.npy").rename(tmp_path / "lone.npz")
    with pytest.raises(DataError, match="not an array file"):
        load_calibration(tmp_path / "lone.npz", PREPARE, SHAPE)
    np.savez(tmp_path / "many.npz", a=np.zeros(3), b=np.zeros(3))
    with pytest.raises(DataError, match="named 'images', it holds a, b"):
        load_calibration(tmp_path / "many.npz", PREPARE, SHAPE)
    (tmp_path / "cat.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match="expected a folder"):
        load_calibration(tmp_path / "cat.jpg", PREPARE, SHAPE)


def test_preprocessing_is_needed_and_must_fit(tmp_path):
    write_images(tmp_path, ["a.png"])
    with pytest.raises(DataError, match="need a preprocessing"):
        load_calibration(tmp_path, None, SHAPE)
    with pytest.raises(DataError, match="need a preprocessing"):
        load_calibration(np.zeros((2, 8, 6, 3), np.uint8), None, SHAPE)
    with pytest.raises(DataError, match=r"makes images of shape \(8, 6, 3\).*takes \(9, 9, 3\)"):
        load_calibration(tmp_path, PREPARE, (1, 9, 9, 3))


def test_values_that_are_not_finite():
    values = np.zeros((4, 8, 6, 3), np.float32)
    values[2, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="image 2 holds"):
        list(load_calibration(values, None, SHAPE).batches(2))


@pytest.mark.parametrize("header", ["file,label", "File, Label", "label,file"])
def test_labels_from_csv(tmp_path, header):
    names = ["p.png", "sub/q.png", "r.png"]
    write_images(tmp_path, names)
    rows = [
        f"{n},{7 - i}" if header != "label,file" else f"{7 - i},{n}" for i, n in enumerate(names)
    ]
    (tmp_path / "labels.csv").write_text("\ufeff" + "\n".join([header, *rows]) + "\n")
    for source in (tmp_path, tmp_path / "labels.csv"):
        labelled = load_labelled(source, PREPARE, SHAPE)
        assert len(labelled) == 3
        assert labelled.shape == (8, 6, 3)
        batches = list(labelled.batches(2))
        assert [label for _, y in batches for label in y] == [7, 6, 5]
        assert greys(labelled.images) == [0, 10, 20]
        assert all(len(x) == len(y) for x, y in batches)
    shuffled = list(load_labelled(tmp_path, PREPARE, SHAPE).batches(2, [2, 0]))
    np.testing.assert_array_equal(shuffled[0][1], [5, 7])
    assert round(255 * float(shuffled[0][0][0].mean())) == 20


def test_labels_from_class_folders(tmp_path):
    write_images(tmp_path, ["n2/a.png", "n2/b.png", "n1/c.png"])
    labelled = load_labelled(tmp_path, PREPARE, SHAPE)
    np.testing.assert_array_equal(labelled.labels, [0, 1, 1])
    assert greys(labelled.images) == [20, 0, 10]
    named = load_labelled(tmp_path, PREPARE, SHAPE, labels=["n0 dog", "n2 cat", "n1 cow"])
    np.testing.assert_array_equal(named.labels, [2, 1, 1])
    with pytest.raises(DataError, match="n1 is named like no class"):
        load_labelled(tmp_path, PREPARE, SHAPE, labels=["n2"])


def test_labels_with_arrays(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 3), np.uint8)
    labels = np.array([3, 1, 4, 1, 5], np.uint8)
    np.savez(tmp_path / "set.npz", images=pixels, labels=labels)
    expected = np.stack([PREPARE(p) for p in pixels])
    whole = load_labelled(tmp_path / "set.npz", PREPARE, SHAPE)
    for source in (tmp_path / "set.npz", (pixels, labels), whole):
        labelled = load_labelled(source, PREPARE, SHAPE, limit=4)
        assert len(labelled) == 4
        assert labelled.labels.dtype == np.int64
        got = list(labelled.batches(3))
        np.testing.assert_array_equal(np.concatenate([x for x, _ in got]), expected[:4])
        np.testing.assert_array_equal(np.concatenate([y for _, y in got]), labels[:4])


def test_wrong_labels_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"neither labels\.csv"):
        load_labelled(tmp_path, PREPARE, SHAPE)
    table = tmp_path / "labels.csv"
    table.write_text("a.png,3\n")
    with pytest.raises(DataError, match="first line 'file,label'"):
        load_labelled(tmp_path, PREPARE, SHAPE)
    table.write_text("file,label\na.png,3\nb.png,dog\n")
    with pytest.raises(DataError, match=r"line 3: expected a file and the number.*b\.png,dog"):
        load_labelled(tmp_path, PREPARE, SHAPE)
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as CSV"):
        load_labelled(tmp_path, PREPARE, SHAPE)
    with pytest.raises(DataError, match="one whole number per image"):
        load_labelled((np.zeros((3, 8, 6, 3), np.uint8), np.zeros(2, int)), PREPARE, SHAPE)
    with pytest.raises(DataError, match="one whole number per image"):
        load_labelled((np.zeros((3, 8, 6, 3), np.uint8), np.zeros(3)), PREPARE, SHAPE)
    with pytest.raises(DataError, match="got list"):
        load_labelled([1, 2], PREPARE, SHAPE)
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(DataError, match=r"expected a folder with labels\.csv"):
        load_labelled(tmp_path / "x.txt", PREPARE, SHAPE)
    images = load_calibration(np.zeros((2, 8, 6, 3), np.float32), None, SHAPE)
    with pytest.raises(DataError, match=r"have shape \(8, 6, 3\)"):
        load_labelled(LabelledImages(images, np.zeros(2, np.int64)), PREPARE, (1, 9, 9, 3))


def test_views_are_every_image_and_then_random_crops_of_it(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(3):
        pixels = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    images = load_calibration(tmp_path, PREPARE, SHAPE)
    views = images.views(3, seed=1)
    assert len(views) == 9 and views.name(4) == images.name(1)
    (plain,) = images.batches(3)
    (seen,) = views.batches(9)
    np.testing.assert_array_equal(seen[:3], plain)
    assert not np.array_equal(seen[3], seen[0]) and not np.array_equal(seen[6], seen[3])
    (again,) = images.views(3, seed=1).batches(9)
    np.testing.assert_array_equal(again, seen)
    (other,) = images.views(3, seed=2).batches(9)
    assert not np.array_equal(other[3:], seen[3:])
    assert images.views(1, seed=1) is images
    arrays = load_calibration(np.zeros((2, 8, 6, 3), np.float32), None, SHAPE)
    assert arrays.views(3, seed=1) is arrays
