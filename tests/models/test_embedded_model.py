"""The default network and the images that come with the package; and the shared AlexNet."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from qcnn_tflite import models
from qcnn_tflite.calibration.images import LabelledImages, load_calibration, load_labelled
from qcnn_tflite.models import embedded

DATA = Path(os.environ.get("QCNN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


def ranks(data: bytes, images: LabelledImages, batch: int = 50) -> np.ndarray:
    """Place of the right class for each image, 0 the first."""
    interpreter = Interpreter(model_content=data, num_threads=2)
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]
    found = []
    for x, labels in images.batches(batch):
        interpreter.resize_tensor_input(source, x.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(source, x)
        interpreter.invoke()
        scores = interpreter.get_tensor(target)
        right = scores[np.arange(len(labels)), labels]
        found.append((scores > right[:, None]).sum(axis=1))
    return np.concatenate(found)


def test_accuracy_of_the_default():
    model = models.load_float("default")
    images = load_labelled(models.test_images(), model.preprocessing, (1, 28, 28, 1))
    assert len(images) == 2000
    np.testing.assert_array_equal(np.bincount(images.labels), [200] * 10)
    assert len(model.labels) == 10
    place = ranks(model.data, images)
    assert (place == 0).mean() > 0.91
    assert (place < 5).mean() > 0.99


def test_calibration_images():
    model = models.get("default")
    images = load_calibration(models.calibration_images(), model.preprocessing, (1, 28, 28, 1))
    assert len(images) == 500
    values = np.concatenate(list(images.batches(100)))
    # Mean and standard deviation that the preprocessing takes out.
    assert abs(values.mean()) < 0.1
    assert values.std() == pytest.approx(1, abs=0.05)


def test_test_images_were_not_trained_on():
    pixels = [
        np.load(path)["images"] for path in (models.test_images(), models.calibration_images())
    ]
    test, calibration = ({image.tobytes() for image in images} for images in pixels)
    assert len(test) == 2000
    assert not test & calibration


def test_package_stays_small():
    files = [f for f in embedded.FOLDER.iterdir() if f.is_file()]
    assert sum(f.stat().st_size for f in files) < 6_000_000
    assert "MIT" in (embedded.FOLDER / "LICENSE-fashion-mnist.txt").read_text()


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(
    not (DATA / "alexnet_tin200.npz").is_file(), reason=f"no alexnet_tin200.npz in {DATA}"
)
def test_trained_alexnet_on_tiny_imagenet(tmp_path):
    model = models.load_float("alexnet_owt", weights=DATA / "alexnet_tin200.npz")
    with zipfile.ZipFile(DATA / "tiny_imagenet_val_5000.zip") as archive:
        archive.extractall(tmp_path)
    images = load_labelled(tmp_path, model.preprocessing, (1, 224, 224, 3))
    place = ranks(model.data, images, batch=8)
    # What two other programs measured, with Pillow and NumPy used directly.
    assert len(place) == 5000
    assert 100 * (place == 0).mean() == pytest.approx(53.86, abs=0.1)
    assert 100 * (place < 5).mean() == pytest.approx(79.50, abs=0.1)
