"""Weights of a named network: random, or from files of many formats."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from . import naming
from .networks import Depthwise, Network
from .readers.caffemodel import Caffemodel
from .readers.hdf5 import Hdf5File
from .readers.npz import NpzFile
from .readers.safetensors_file import SafetensorsFile
from .readers.tfjs import TfjsModel
from .readers.tflite_file import read_tflite, tflite_arrays
from .readers.torch_state import TorchState

FloatArray = NDArray[np.float32]

# What a path may be, for messages.
FORMATS = (
    ".npz, .h5, .keras, .pth, .safetensors, .tflite, a TensorFlow.js model.json or an npm .tgz"
)


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalization behind a layer: y = gamma·(x - mean)/√(variance + epsilon) + beta.

    Parameters
    ----------
    gamma, beta, mean, variance : ndarray of shape (C,), float32
    epsilon : float
    """

    gamma: FloatArray
    beta: FloatArray
    mean: FloatArray
    variance: FloatArray
    epsilon: float


class WeightArrays:
    """Kernels and biases by layer, read or drawn only when taken; batch normalization is folded.

    Parameters
    ----------
    network : Network
    parts : collection of (str, str)
        Layer and part (``kernel``, ``bias``, ``gamma``, …) of every array that there is.
    read : callable
        Layer and part to an array of the shape that `Network.weight_shapes` says.
    held : iterable of str
        Names of the file's arrays, for messages.
    origin : str
        The file, for messages.
    digest : callable
        Algorithm of hashlib to the hexadecimal digest of the weights as they were read, see `Source`.
    """

    def __init__(
        self,
        network: Network,
        parts: Iterable[tuple[str, str]],
        read: Callable[[str, str], NDArray[Any]],
        held: Iterable[str] = (),
        origin: str = "the weights",
        digest: Callable[[str], str] = lambda algorithm: "",
    ) -> None:
        self._network = network
        self._shapes = network.weight_shapes()
        self._depthwise = {s.name for s in network.layers if isinstance(s, Depthwise)}
        self._parts = set(parts)
        self._read = read
        self._held = sorted(held)
        self._origin = origin
        self.digest = digest

    def take(self, layer: str) -> tuple[FloatArray, FloatArray]:
        """Kernel and bias of one layer, the batch normalization behind it folded into them.

        Raises
        ------
        ModelError
            If the file lacks an array, or has one of another shape or one that is not finite.
        """
        kernel, bias = self.unfolded(layer)
        norm = self.batch_norm(layer)
        if norm is None:
            return kernel, bias
        scale = norm.gamma.astype(np.float64) / np.sqrt(
            norm.variance.astype(np.float64) + norm.epsilon
        )
        outputs = scale[:, None] if layer in self._depthwise else scale
        folded = (norm.beta + scale * (bias - norm.mean)).astype(np.float32)
        return (kernel * outputs).astype(np.float32), folded

    def unfolded(self, layer: str) -> tuple[FloatArray, FloatArray]:
        """Kernel and bias of one layer without the batch normalization behind it; bias 0 if none."""
        shape = self._shapes[layer]
        kernel = self._checked(layer, "kernel", shape)
        if (layer, "bias") not in self._parts and self._normalized(layer):
            return kernel, np.zeros(self._outputs(layer), np.float32)
        return kernel, self._checked(layer, "bias", (self._outputs(layer),))

    def batch_norm(self, layer: str) -> BatchNorm | None:
        """The batch normalization behind a layer, or None where the weights have none."""
        if not self._normalized(layer):
            return None
        gamma, beta, mean, variance = (
            self._checked(layer, part, (self._outputs(layer),)) for part in naming.NORM_PARTS
        )
        if variance.min() < 0:
            raise ModelError(f"layer {layer}: its variance is negative; the weights are damaged")
        return BatchNorm(gamma, beta, mean, variance, self._network.norm_epsilon)

    def batch_norms(self) -> dict[str, BatchNorm]:
        """Every batch normalization, by the layer before it."""
        found = {layer: self.batch_norm(layer) for layer in self._shapes}
        return {layer: norm for layer, norm in found.items() if norm is not None}

    def _normalized(self, layer: str) -> bool:
        return any((layer, part) in self._parts for part in naming.NORM_PARTS)

    def _outputs(self, layer: str) -> int:
        return self._shapes[layer][2 if layer in self._depthwise else -1]

    def raw(self, layer: str, part: str) -> NDArray[Any]:
        """An array as the file holds it, but for the order of its axes.

        Raises
        ------
        ModelError
            If the file does not hold it.
        """
        if (layer, part) not in self._parts:
            raise ModelError(
                f"{self._origin}: expected {layer}/{part}, the file holds {_some(self._held)}"
            )
        return self._read(layer, part)

    def _checked(self, layer: str, part: str, shape: tuple[int, ...]) -> FloatArray:
        array = self.raw(layer, part)
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


def open_weights(network: Network, path: Path, model: str) -> tuple[Network, WeightArrays]:
    """Weights from a file, and the network with as many classes as they have.

    Parameters
    ----------
    network : Network
    path : Path
        ``.npz`` with ``layer/kernel`` (HWIO or (in, out)) and ``layer/bias``; ``.h5`` or ``.keras`` as
        Keras writes them; a ``.caffemodel``; a state dict of torch (``.pth``, ``.pt``, ``.bin``) or ``.safetensors``;
        a float ``.tflite`` of the same layers; a TensorFlow.js ``model.json``, its folder, or the npm
        package (``.tgz``) with one or with the ``.tflite``.
    model : str
        Its name, for messages and for names in a state dict.

    Raises
    ------
    ModelError
    """
    arrays = _open(network, path, model)
    last = arrays.raw(network.last, "kernel")
    if last.ndim == 2 and last.shape[1] != network.classes:  # else the check says what is wrong
        network = network.with_classes(last.shape[1])
        arrays = _open(network, path, model)
    return network, arrays


def _open(network: Network, path: Path, model: str) -> WeightArrays:
    suffix = path.suffix.lower()
    held: Any
    layout: naming.Layout = naming.as_stored
    digest = partial(_file_digest, path)
    if suffix == ".npz":
        held = NpzFile(path)
        index = naming.by_layer(held, network)
    elif suffix in (".h5", ".hdf5", ".keras"):
        held = Hdf5File(path)
        index = naming.keras_names(held, network)
    elif suffix == ".tflite" or (model == "mobilenet_v1" and _is_package(path)):
        return _from_tflite(network, path)
    elif suffix == ".json" or _is_package(path):
        held = TfjsModel(path)
        digest = held.digest
        index = naming.keras_names(held, network)
    elif suffix == ".caffemodel":
        held = Caffemodel(path)
        index = naming.caffe_names(held, network)
        layout = naming.outputs_first(network)
    else:
        if suffix == ".safetensors":
            held = SafetensorsFile(path)
        else:
            held = TorchState(path)
            digest = held.digest
        index = naming.torch_names(held, network, model)
        layout = naming.outputs_first(network)
    return WeightArrays(
        network,
        index,
        lambda layer, part: layout(layer, part, held[index[layer, part]]),
        held,
        str(path),
        digest,
    )


def _file_digest(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


# The file in the npm package that holds it.
_MOBILENET = "mobilenet_v1_1.0_224.tflite"


def _from_tflite(network: Network, path: Path) -> WeightArrays:
    data = read_tflite(path, _MOBILENET)
    arrays = tflite_arrays(data)
    shapes = network.weight_shapes()
    if len(arrays) != len(shapes):
        raise ModelError(
            f"{path} has {len(arrays)} layers with weights, this network has {len(shapes)}; convert "
            "the file itself, as a model of its own"
        )
    layers = dict(zip(shapes, arrays, strict=True))

    def read(layer: str, part: str) -> NDArray[Any]:
        kernel, bias = layers[layer]
        if part == "bias":
            return np.zeros(len(kernel), np.float32) if bias is None else bias
        # A 1x1 convolution behind global pooling is a fully-connected layer.
        return (
            kernel.transpose(1, 2, 3, 0)
            if len(shapes[layer]) == 4
            else kernel.reshape(len(kernel), -1).T
        )

    parts = [(layer, part) for layer in shapes for part in ("kernel", "bias")]
    return WeightArrays(
        network, parts, read, shapes, str(path), lambda name: hashlib.new(name, data).hexdigest()
    )


def _is_package(path: Path) -> bool:
    return path.is_dir() or path.suffix.lower() in (".tgz", ".gz", ".tar")


def find_weights(
    network: Network, weights: str | os.PathLike[str] | None, *, model: str, seed: int
) -> tuple[Network, WeightArrays]:
    """Weights for a network, and the network with as many classes as they have.

    Parameters
    ----------
    network : Network
    weights : {"random"} or path
        See `open_weights`.
    model : str
        Its name.
    seed : int
        For "random".

    Raises
    ------
    ModelError
    """
    if weights is not None and os.fspath(weights) == "random":
        return network, random_weights(network, seed)
    path = None if weights is None else Path(weights)
    if path is None or not path.name or not (path.suffix or path.exists()):
        given = "nothing" if path is None else repr(str(path))
        raise ModelError(f'{model} needs weights: "random", or a path ({FORMATS}); got {given}')
    if not path.exists():
        raise ModelError(f"{path}: there is no such file; give the path of the weights of {model}")
    return open_weights(network, path, model)


def random_weights(network: Network, seed: int) -> WeightArrays:
    """He-normal kernels (standard deviation √(2/inputs)) and zero biases, equal for equal seeds."""
    shapes = network.weight_shapes()
    order = {name: i for i, name in enumerate(shapes)}
    depthwise = {s.name for s in network.layers if isinstance(s, Depthwise)}

    def draw(layer: str, part: str) -> FloatArray:
        shape = shapes[layer]
        if part == "bias":
            return np.zeros(shape[2 if layer in depthwise else -1], np.float32)
        # A generator of its own for every layer, so that they can be drawn one at a time.
        generator = np.random.default_rng([seed, order[layer]])
        kernel = generator.standard_normal(shape, np.float32)
        inputs = math.prod(shape[:2] if layer in depthwise else shape[:-1])
        kernel *= np.float32(math.sqrt(2 / inputs))
        return kernel

    return WeightArrays(network, [(n, p) for n in shapes for p in ("kernel", "bias")], draw)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:12]) or "nothing"
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "")
