"""Weights of a named network: random, or from `.npz`, `.h5` and `.keras` files."""

from __future__ import annotations

import io
import math
import os
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .networks import Network

FloatArray = NDArray[np.float32]

_SUFFIXES = (".npz", ".h5", ".keras")
# Layer, then "kernel" or "bias".
_Read = Callable[[str, str], FloatArray]


class WeightArrays:
    """Kernels and biases by layer, read or drawn only when taken.

    Parameters
    ----------
    shapes : dict of str to tuple
        Kernel shapes, `Network.weight_shapes`.
    read : callable
        Layer name and "kernel" or "bias" to an array.
    """

    def __init__(self, shapes: dict[str, tuple[int, ...]], read: _Read) -> None:
        self._shapes = shapes
        self._read = read

    def take(self, layer: str) -> tuple[FloatArray, FloatArray]:
        """Kernel and bias of one layer.

        Raises
        ------
        ModelError
            If the file's array has another shape, or holds a value that is not finite.
        """
        shape = self._shapes[layer]
        return self._checked(layer, "kernel", shape), self._checked(layer, "bias", shape[-1:])

    def _checked(self, layer: str, part: str, shape: tuple[int, ...]) -> FloatArray:
        array = self._read(layer, part)
        if array.shape != shape:
            raise ModelError(
                f"layer {layer}: expected a {part} of shape {shape}, the file holds {array.shape}; "
                "kernels are height, width, inputs of one group, outputs, or inputs, outputs"
            )
        if array.dtype.kind != "f":
            raise ModelError(
                f"layer {layer}: expected a {part} of floats, the file holds {array.dtype}"
            )
        array = array.astype(np.float32, copy=False)
        if not np.isfinite(array).all():
            raise ModelError(f"layer {layer}: its {part} holds values that are NaN or infinite")
        return array


def find_weights(
    network: Network, weights: str | os.PathLike[str] | None, *, model: str, seed: int
) -> tuple[Network, WeightArrays]:
    """Weights for a network, and the network with as many classes as they have.

    Parameters
    ----------
    network : Network
    weights : {"random"} or path
        ``.npz`` with ``layer/kernel`` (HWIO or (in, out)) and ``layer/bias``, float16 or float32;
        ``.h5`` or ``.keras`` as Keras writes them, layers matched by name, else by their order.
    model : str
        For messages.
    seed : int
        For "random".

    Raises
    ------
    ModelError
    """
    if weights is not None and os.fspath(weights) == "random":
        return network, random_weights(network, seed)
    path = None if weights is None else Path(weights)
    if path is None or path.suffix.lower() not in _SUFFIXES:
        given = "nothing" if path is None else repr(str(path))
        raise ModelError(
            f'{model} needs weights: "random", or the path of a {", ".join(_SUFFIXES[:2])} or '
            f"{_SUFFIXES[2]} file; got {given}"
        )
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file; give the path of the weights of {model}")
    read = _npz_reader(path) if path.suffix.lower() == ".npz" else _hdf5_reader(path, network)
    last = read(network.last, "kernel")
    if last.ndim == 2:  # else the check of shapes says what is wrong
        network = network.with_classes(last.shape[1])
    return network, WeightArrays(network.weight_shapes(), read)


def random_weights(network: Network, seed: int) -> WeightArrays:
    """He-normal kernels (standard deviation √(2/inputs)) and zero biases, equal for equal seeds."""
    shapes = network.weight_shapes()
    order = {name: i for i, name in enumerate(shapes)}

    def draw(layer: str, part: str) -> FloatArray:
        shape = shapes[layer]
        if part == "bias":
            return np.zeros(shape[-1:], np.float32)
        # A generator of its own for every layer, so that they can be drawn one at a time.
        generator = np.random.default_rng([seed, order[layer]])
        kernel = generator.standard_normal(shape, np.float32)
        kernel *= np.float32(math.sqrt(2 / math.prod(shape[:-1])))
        return kernel

    return WeightArrays(shapes, draw)


def _npz_reader(path: Path) -> _Read:
    try:
        with np.load(path, allow_pickle=False) as archive:
            keys = {_plain(key): key for key in archive.files}
    # TypeError or, on Python 3.10, AttributeError: a lone array, which is no archive.
    except (OSError, ValueError, zipfile.BadZipFile, TypeError, AttributeError, EOFError) as error:
        raise ModelError(
            f"{path} is not an .npz file ({error}); save it with numpy.savez"
        ) from error

    def read(layer: str, part: str) -> FloatArray:
        key = keys.get(f"{layer}/{part}")
        if key is None:
            raise ModelError(
                f"{path}: expected {layer}/{part}, the file holds {_some(sorted(keys))}"
            )
        try:
            with np.load(path, allow_pickle=False) as archive:
                array: FloatArray = archive[key]
        except (OSError, ValueError, zipfile.BadZipFile, EOFError, zlib.error) as error:
            raise ModelError(f"{path}: {key} cannot be read ({error})") from error
        return array

    return read


def _plain(key: str) -> str:
    return key.removesuffix(".npy").removesuffix(":0")


def _hdf5_reader(path: Path, network: Network) -> _Read:
    """Reads what Keras saved: `.weights.h5`, a whole model as `.h5`, or a `.keras` archive."""
    import h5py

    source: Any = path
    try:
        if path.suffix.lower() == ".keras":
            with zipfile.ZipFile(path) as archive:
                source = io.BytesIO(archive.read("model.weights.h5"))
        file = h5py.File(source, "r")
        found: dict[str, str] = {}
        file.visititems(
            lambda name, item: (
                found.__setitem__(name, name)
                if isinstance(item, h5py.Dataset) and "optimizer" not in name
                else None
            )
        )
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path} does not hold Keras weights ({error}); write it with model.save() or "
            "model.save_weights()"
        ) from error
    layers = _by_name(found, network) or _by_order(found, network)

    def read(layer: str, part: str) -> FloatArray:
        name = layers.get((layer, part))
        if name is None:
            raise ModelError(
                f"{path}: expected a {part} of layer {layer}, the file holds {_some(sorted(found))}"
            )
        return np.asarray(file[name])

    return read


_PARTS = {"kernel": "kernel", "kernel:0": "kernel", "0": "kernel", "bias": "bias", "bias:0": "bias", "1": "bias"}  # fmt: skip


def _by_name(found: dict[str, str], network: Network) -> dict[tuple[str, str], str]:
    """Datasets below a group that has the layer's name."""
    layers: dict[tuple[str, str], str] = {}
    for name in found:
        *groups, leaf = name.split("/")
        part = _PARTS.get(leaf)
        for layer in network.weight_shapes():
            if part is not None and layer in groups:
                layers.setdefault((layer, part), name)
    return layers


def _by_order(found: dict[str, str], network: Network) -> dict[tuple[str, str], str]:
    """Datasets of Keras' automatic names: conv2d, conv2d_1, … and dense, dense_1, …"""
    convolutions = [n for n, s in network.weight_shapes().items() if len(s) == 4]
    dense = [n for n, s in network.weight_shapes().items() if len(s) == 2]
    layers: dict[tuple[str, str], str] = {}
    for kind, names in (("conv2d", convolutions), ("dense", dense)):
        numbered: dict[int, dict[str, str]] = {}
        for name in found:
            *groups, leaf = name.split("/")
            for group in groups:
                match = re.fullmatch(rf"{kind}(?:_(\d+))?", group)
                if match and leaf in _PARTS:
                    numbered.setdefault(int(match[1] or 0), {})[_PARTS[leaf]] = name
        for layer, number in zip(names, sorted(numbered), strict=False):
            for part, name in numbered[number].items():
                layers[layer, part] = name
    return layers


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:12]) or "nothing"
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "")
