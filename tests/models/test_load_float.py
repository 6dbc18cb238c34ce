"""Every way to a float `.tflite`: Keras models, files, SavedModels, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from qcnn_tflite import models
from qcnn_tflite.errors import ModelError
from qcnn_tflite.graph import find_layers, read_model, rewrite

# Keras itself calls NumPy in ways that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:keras")


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("tensorflow").keras


@pytest.fixture(scope="module")
def small(keras):
    """A model whose layers have Keras' automatic names, one of them in a nested model."""
    keras.utils.clear_session()
    layers = keras.layers
    inner = keras.Sequential(
        [layers.Input((8, 8, 4)), layers.Conv2D(8, 3, activation="relu")], name="inner"
    )
    inputs = layers.Input((8, 8, 4))
    x = layers.Flatten()(inner(inputs))
    x = layers.Dense(12, activation="relu")(x)
    x = layers.Dense(11)(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x), name="mine")


def output(data: bytes, image: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def layers_of(model: models.FloatModel) -> dict[str, tuple[int, ...]]:
    return {layer.name: layer.weight_shape for layer in find_layers(read_model(model.data))}


@pytest.mark.parametrize("form", ["model", "keras", "h5", "saved_model", "tflite"])
def test_forms_of_one_model(small, tmp_path, form, capsys):
    source = small
    if form in ("keras", "h5"):
        source = tmp_path / f"net.{form}"
        small.save(source)
    elif form == "saved_model":
        source = tmp_path / "folder"
        small.export(source, verbose=False)
    elif form == "tflite":
        source = str(tmp_path / "net.tflite")
        (tmp_path / "net.tflite").write_bytes(models.load_float(small).data)
    capsys.readouterr()
    model = models.load_float(source)
    assert capsys.readouterr().out == ""
    image = np.random.default_rng(0).standard_normal((1, 8, 8, 4)).astype(np.float32)
    np.testing.assert_allclose(output(model.data, image), small(image), atol=1e-6)
    assert layers_of(model) == {
        "conv2d": (8, 3, 3, 4), "dense": (12, 1, 1, 288), "dense_1": (11, 1, 1, 12),
        "dense_2": (10, 1, 1, 11),
    }  # fmt: skip
    assert model.softmax_applied is True
    assert model.preprocessing is None
    assert model.name == {"model": "mine", "saved_model": "folder"}.get(form, "net")


def test_output_without_softmax(keras):
    layers = keras.layers
    model = keras.Sequential([layers.Input((6,)), layers.Dense(4, name="only")])
    converted = models.load_float(model)
    assert converted.softmax_applied is False
    assert list(layers_of(converted)) == ["only"]


def test_metadata_of_a_tflite_are_read(tmp_path):
    preprocessing = models.get("alexnet").preprocessing
    data = models.load_float("default").data
    described = {
        "model": "renamed", "licence": "CC0", "input": preprocessing.to_metadata(),
        "output": {"softmax_applied": False, "labels": ["a", "b"]},
    }  # fmt: skip
    (tmp_path / "x.tflite").write_bytes(rewrite(read_model(data), {}, described, None))
    model = models.load_float(tmp_path / "x.tflite")
    assert model.name == "renamed"
    assert model.licence == "CC0"
    assert model.labels == ["a", "b"]
    assert model.softmax_applied is False
    assert model.preprocessing.to_metadata() == preprocessing.to_metadata()


def test_seed_and_reproducibility():
    first = models.load_float("default", weights="random", seed=5).data
    assert first == models.load_float("default", weights="random", seed=5).data
    assert first != models.load_float("default", weights="random", seed=6).data
    assert models.load_float("default", weights="random").licence is None


def test_a_name_comes_before_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fashion_alexnet").mkdir()
    assert models.load_float("fashion_alexnet").name == "fashion_alexnet"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.tflite", None, "no such file"),
        ("folder/gone", None, "no such file"),
        ("gone.keras", None, "no such file"),
        ("cat.tflite", b"\xff\xd8\xff\xe0" * 9, r"cat\.tflite.*not a TensorFlow Lite model.*TFL3"),
        ("empty.tflite", b"", "not a TensorFlow Lite model"),
        ("cat.keras", b"\xff\xd8\xff\xe0" * 9, r"cat\.keras cannot be loaded as a Keras model"),
        ("cat.h5", b"\xff\xd8\xff\xe0" * 9, r"cat\.h5 cannot be loaded as a Keras model"),
        ("nonsense", None, "no model is named 'nonsense'"),
        ("", None, r"folder without saved_model\.pb"),
    ],
)
def test_unusable_models(tmp_path, monkeypatch, name, content, message):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        models.load_float(name)


def test_folder_that_is_no_saved_model(tmp_path):
    with pytest.raises(ModelError, match=r"without saved_model\.pb"):
        models.load_float(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"rubbish")
    with pytest.raises(ModelError, match="converter refuses the model"):
        models.load_float(tmp_path)


def test_cut_tflite(tmp_path):
    data = models.load_float("default").data
    (tmp_path / "cut.tflite").write_bytes(data[: len(data) // 3])
    with pytest.raises(ModelError, match=r"cut\.tflite"):
        models.load_float(tmp_path / "cut.tflite")


def test_things_that_are_no_model(keras):
    with pytest.raises(ModelError, match="got int"):
        models.load_float(3)
    with pytest.raises(ModelError, match="got bytes"):
        models.load_float(b"TFL3")
    with pytest.raises(ModelError, match="has no inputs yet"):
        models.load_float(keras.Sequential([keras.layers.Dense(3)]))


def test_weights_are_for_names(small, tmp_path):
    for model in (small, tmp_path / "x.tflite"):
        with pytest.raises(ModelError, match="weights are for named models only"):
            models.load_float(model, weights="random")


def test_named_models_do_not_load_tensorflow():
    code = (
        "import sys; from qcnn_tflite import models; models.load_float('default'); "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
