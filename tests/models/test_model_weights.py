"""Weights of named networks: random, `.npz`, and what Keras writes."""

from __future__ import annotations

import numpy as np
import pytest

from qcnn_tflite import models
from qcnn_tflite.errors import ModelError
from qcnn_tflite.graph import find_layers, layer_bias, layer_weights, read_model
from qcnn_tflite.models.networks import Conv, Dense, Network, Pool
from qcnn_tflite.models.weights import find_weights, random_weights

# Keras itself calls NumPy in ways that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:keras")

SMALL = Network(
    (8, 8, 4),
    (Conv("conv1", 6, 3, pad=1, groups=2), Pool(2, 2), Conv("conv2", 8, 3), Dense("fc6", 5), Dense("fc8")),
    classes=3,
)  # fmt: skip


def arrays(network=SMALL, dtype=np.float16):
    rng = np.random.default_rng(0)
    found = {}
    for name, shape in network.weight_shapes().items():
        found[f"{name}/kernel"] = rng.standard_normal(shape).astype(dtype)
        found[f"{name}/bias"] = rng.standard_normal(shape[-1]).astype(dtype)
    return found


def assert_equal(weights, expected):
    for name in SMALL.weight_shapes():
        kernel, bias = weights.take(name)
        assert kernel.dtype == bias.dtype == np.float32
        np.testing.assert_array_equal(kernel, expected[f"{name}/kernel"])
        np.testing.assert_array_equal(bias, expected[f"{name}/bias"])


def test_random_weights_are_he_normal_and_repeatable():
    shapes = models.get("alexnet").network.weight_shapes()
    drawn = random_weights(models.get("alexnet").network, 7)
    kernel, bias = drawn.take("conv2")
    assert kernel.shape == shapes["conv2"] == (5, 5, 48, 256)
    assert kernel.std() == pytest.approx(np.sqrt(2 / (5 * 5 * 48)), rel=0.01)
    assert abs(kernel.mean()) < 1e-3
    assert not bias.any()
    np.testing.assert_array_equal(drawn.take("conv2")[0], kernel)
    np.testing.assert_array_equal(
        random_weights(models.get("alexnet").network, 7).take("conv2")[0], kernel
    )
    other = random_weights(models.get("alexnet").network, 8).take("conv2")[0]
    assert abs(np.corrcoef(kernel.ravel(), other.ravel())[0, 1]) < 0.02
    first = random_weights(SMALL, 0).take("conv1")[0]
    assert not np.array_equal(
        first.ravel()[:20], random_weights(SMALL, 0).take("fc6")[0].ravel()[:20]
    )


@pytest.mark.parametrize("suffix", ["", ".npy"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_npz(tmp_path, suffix, dtype):
    expected = arrays(dtype=dtype)
    np.savez(tmp_path / "w.npz", **{key + suffix: value for key, value in expected.items()})
    network, weights = find_weights(SMALL, tmp_path / "w.npz", model="small", seed=0)
    assert network == SMALL
    assert_equal(weights, expected)


def test_npz_through_the_whole_model(tmp_path):
    expected = arrays(models.get("default").network)
    np.savez(tmp_path / "w.npz", **expected)
    model = read_model(models.load_float("default", weights=str(tmp_path / "w.npz")).data)
    for layer in find_layers(model):
        kernel = expected[f"{layer.name}/kernel"].astype(np.float32)
        hwio = kernel if kernel.ndim == 4 else kernel[None, None]
        np.testing.assert_array_equal(layer_weights(model, layer), hwio.transpose(3, 0, 1, 2))
        np.testing.assert_array_equal(
            layer_bias(model, layer), expected[f"{layer.name}/bias"].astype(np.float32)
        )


def test_number_of_classes_comes_from_the_weights(tmp_path):
    wide = SMALL.with_classes(17)
    np.savez(tmp_path / "w.npz", **arrays(wide))
    network, _ = find_weights(SMALL, tmp_path / "w.npz", model="small", seed=0)
    assert network == wide
    default = models.get("default")
    np.savez(tmp_path / "d.npz", **arrays(default.network.with_classes(4)))
    model = models.load_float("default", weights=tmp_path / "d.npz")
    assert read_model(model.data).shape(find_layers(read_model(model.data))[-1].output) == (1, 4)
    assert model.labels is None
    assert model.licence is None


@pytest.mark.parametrize("weights", ["Random", "", "folder"])
def test_what_weights_may_be(weights):
    with pytest.raises(
        ModelError, match=r'alexnet needs weights: "random", or a path \(\.npz, \.h5, \.keras'
    ):
        models.load_float("alexnet", weights=weights)


def take_all(path):
    _, weights = find_weights(SMALL, path, model="small", seed=0)
    return [weights.take(layer) for layer in SMALL.weight_shapes()]


def test_wrong_npz(tmp_path):
    def message(changes=None, drop=()):
        found = {**arrays(), **(changes or {})}
        np.savez(tmp_path / "w.npz", **{k: v for k, v in found.items() if k not in drop})
        with pytest.raises(ModelError) as error:
            take_all(tmp_path / "w.npz")
        return str(error.value)

    assert "layer conv2: expected a kernel of shape (3, 3, 6, 8), the file holds (8, 3, 3, 6)" in (
        message({"conv2/kernel": np.zeros((8, 3, 3, 6), np.float32)})
    )
    assert "layer fc6: expected a bias of shape (5,)" in message({"fc6/bias": np.zeros(6)})
    assert "expected fc6/kernel, the file holds conv1/bias" in message(drop=["fc6/kernel"])
    assert "expected fc8/kernel" in message(drop=["fc8/kernel"])
    assert "layer conv1: its bias holds values that are NaN" in (
        message({"conv1/bias": np.full(6, np.nan)})
    )
    assert "layer conv1: expected a bias of floats, the file holds int64" in (
        message({"conv1/bias": np.zeros(6, int)})
    )
    assert "layer fc8: expected a kernel of shape (5, 3), the file holds (5,)" in (
        message({"fc8/kernel": np.zeros(5)})
    )


@pytest.mark.parametrize("name", ["w.npz", "w.h5", "w.keras"])
def test_files_that_are_not_what_they_are_called(tmp_path, name):
    with pytest.raises(ModelError, match="no such file"):
        find_weights(SMALL, tmp_path / name, model="small", seed=0)
    (tmp_path / name).write_bytes(b"\xff\xd8\xff\xe0 a picture")
    with pytest.raises(ModelError, match=rf"{name}.*(not an \.npz file|not hold Keras weights)"):
        find_weights(SMALL, tmp_path / name, model="small", seed=0)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("file", ["w.keras", "w.h5", "w.weights.h5"])
def test_keras_files(tmp_path, file, named):
    keras = pytest.importorskip("tensorflow").keras
    layers = keras.layers
    name = {key: {"name": key} if named else {} for key in ("conv1", "conv2", "fc6", "fc8")}
    model = keras.Sequential(
        [
            layers.Input((8, 8, 4)),
            layers.Conv2D(6, 3, groups=2, padding="same", **name["conv1"]),
            layers.MaxPooling2D(2),
            layers.Conv2D(8, 3, **name["conv2"]),
            layers.Flatten(),
            layers.Dense(5, **name["fc6"]),
            layers.Dense(3, **name["fc8"]),
        ]
    )
    expected = arrays(dtype=np.float32)
    weighted = [layer for layer in model.layers if layer.weights]
    for layer, key in zip(weighted, SMALL.weight_shapes(), strict=True):
        layer.set_weights([expected[f"{key}/kernel"], expected[f"{key}/bias"]])
    if file == "w.weights.h5":
        model.save_weights(tmp_path / file)
    else:
        model.save(tmp_path / file)
    _, weights = find_weights(SMALL, tmp_path / file, model="small", seed=0)
    assert_equal(weights, expected)
