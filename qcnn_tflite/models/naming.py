"""Which tensor of a weights file is which part of which layer, and in what order its axes are.

Parts are ``kernel`` and ``bias``, and of a batch normalization behind the layer ``gamma``, ``beta``,
``mean`` and ``variance``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .networks import Dense, Depthwise, GlobalPool, Network

Array = NDArray[Any]
# (layer, part) to a tensor's name.
Index = dict[tuple[str, str], str]
# (layer, part, array as in the file) to the array as `Network.weight_shapes` says.
Layout = Callable[[str, str, Array], Array]

NORM_PARTS = ("gamma", "beta", "mean", "variance")
_KERAS_PARTS = {
    "kernel": "kernel", "depthwise_kernel": "kernel", "0": "kernel", "bias": "bias", "1": "bias",
}  # fmt: skip
_KERAS_NORM_PARTS = {
    "gamma": "gamma", "beta": "beta", "moving_mean": "mean", "moving_variance": "variance",
    "0": "gamma", "1": "beta", "2": "mean", "3": "variance",
}  # fmt: skip
_TORCH_NORM_PARTS = {
    "weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "variance",
}  # fmt: skip


def by_layer(names: Iterable[str], network: Network) -> Index:
    """Names ``layer/part``, as this package writes them to ``.npz``."""
    layers = network.weight_shapes()
    parts = {"kernel", "bias", *NORM_PARTS}
    index: Index = {}
    for name in names:
        layer, _, part = name.rpartition("/")
        if layer in layers and part in parts:
            index[layer, part] = name
    return index


def keras_names(names: Iterable[str], network: Network) -> Index:
    """Names that Keras gives: by the layers' names, else by the order of its automatic ones."""
    names = list(names)
    return _keras_by_name(names, network) or _keras_by_order(names, network)


def _keras_by_name(names: list[str], network: Network) -> Index:
    """Tensors below a group that has the name of the layer, or of its batch normalization."""
    layers = set(network.weight_shapes())
    norms = {norm: layer for layer in layers for norm in _keras_norms(layer)}
    index: Index = {}
    for name in names:
        *groups, leaf = name.split("/")
        leaf = leaf.removesuffix(":0")
        for group in groups:
            if group in layers and leaf in _KERAS_PARTS:
                index.setdefault((group, _KERAS_PARTS[leaf]), name)
            elif group in norms and leaf in _KERAS_NORM_PARTS:
                index.setdefault((norms[group], _KERAS_NORM_PARTS[leaf]), name)
    return index


def _keras_norms(layer: str) -> tuple[str, ...]:
    """Names for the batch normalization behind a layer: common ones, and ResNet's."""
    return (f"{layer}_bn", f"bn_{layer}", *([f"bn{layer[3:]}"] if layer.startswith("res") else []))


def _keras_by_order(names: list[str], network: Network) -> Index:
    """Keras' automatic names: conv2d, conv2d_1, … and dense, dense_1, …"""
    shapes = network.weight_shapes()
    depthwise = {s.name for s in network.layers if isinstance(s, Depthwise)}
    kinds = {
        "conv2d": [n for n, s in shapes.items() if len(s) == 4 and n not in depthwise],
        "depthwise_conv2d": [n for n in shapes if n in depthwise],
        "dense": [n for n, s in shapes.items() if len(s) == 2],
    }
    index: Index = {}
    for kind, layers in kinds.items():
        numbered: dict[int, dict[str, str]] = {}
        for name in names:
            *groups, leaf = name.split("/")
            part = _KERAS_PARTS.get(leaf.removesuffix(":0"))
            for group in groups:
                match = re.fullmatch(rf"{kind}(?:_(\d+))?", group)
                if match and part:
                    numbered.setdefault(int(match[1] or 0), {})[part] = name
        for layer, number in zip(layers, sorted(numbered), strict=False):
            index |= {(layer, part): name for part, name in numbered[number].items()}
    return index


def torch_names(names: Iterable[str], network: Network, model: str) -> Index:
    """Names of a state dict of torch.

    Modules named after the layers come first, EfficientNet-Lite0's are known; else convolutions and fully-connected layers are
    taken in the natural order of their modules (``features.3`` before ``features.10``).
    """
    names = list(names)
    if all(f"{layer}.weight" in names for layer in network.weight_shapes()):
        modules = {layer: (layer, "") for layer in network.weight_shapes()}
    elif model == "efficientnet_lite0":
        modules = {layer: _efficientnet_modules(layer) for layer in network.weight_shapes()}
    else:
        modules = _modules_in_order(names, network)
    known = set(names)
    index: Index = {}
    for layer, (module, norm) in modules.items():
        found = {"kernel": f"{module}.weight", "bias": f"{module}.bias"}
        if norm:
            found |= {part: f"{norm}.{leaf}" for leaf, part in _TORCH_NORM_PARTS.items()}
        index |= {(layer, part): name for part, name in found.items() if name in known}
    return index


def _efficientnet_modules(layer: str) -> tuple[str, str]:
    """A layer's module and its batch normalization in the PyTorch port of EfficientNet."""
    named = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1"), "fc": ("_fc", "")}
    if layer in named:
        return named[layer]
    block, _, kind = layer.removeprefix("block").partition("_")
    norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[kind]
    return f"_blocks.{block}._{kind}_conv", f"_blocks.{block}.{norm}"


def _modules_in_order(names: list[str], network: Network) -> dict[str, tuple[str, str]]:
    """Modules with a weight, sorted with numbers as numbers; "features" precedes "classifier"."""
    convolutional = [n for n, s in network.weight_shapes().items() if len(s) == 4]
    dense = [n for n, s in network.weight_shapes().items() if len(s) == 2]
    modules = sorted(
        (n.removesuffix(".weight") for n in names if n.endswith(".weight")),
        key=lambda n: [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", n)],
    )
    classifier = [m for m in modules if m.startswith("classifier")] or modules[-len(dense) :]
    features = [m for m in modules if m not in classifier]
    pairs = [*zip(convolutional, features, strict=False), *zip(dense, classifier, strict=False)]
    return {layer: (module, "") for layer, module in pairs}


def caffe_names(names: Iterable[str], network: Network) -> Index:
    """Names ``layer/0`` (weights) and ``layer/1`` (bias), by the layers' names."""
    known = set(names)
    index: Index = {}
    for layer in network.weight_shapes():
        for leaf, part in (("0", "kernel"), ("1", "bias")):
            if f"{layer}/{leaf}" in known:
                index[layer, part] = f"{layer}/{leaf}"
    return index


def as_stored(layer: str, part: str, array: Array) -> Array:
    """The layout of Keras and of this package."""
    return array


def outputs_first(network: Network) -> Layout:
    """Layout of torch and Caffe: (out, in, height, width), (out, in), flattened channels first."""
    flattened = _flattened(network)
    dense = {s.name for s in network.layers if isinstance(s, Dense)}
    depthwise = {s.name for s in network.layers if isinstance(s, Depthwise)}

    def layout(layer: str, part: str, array: Array) -> Array:
        if part != "kernel":
            # Caffe's files from before 2015 have four dimensions of everything.
            return array.reshape(-1) if array.size == max(array.shape, default=1) else array
        if layer in dense and array.ndim == 4:
            # Those again, or a fully-connected layer as a convolution over the whole image.
            array = array.reshape(
                array.shape[2:] if array.shape[:2] == (1, 1) else (len(array), -1)
            )
        if layer in depthwise and array.ndim == 4:  # (C, 1, kH, kW)
            return array.transpose(2, 3, 0, 1)
        if array.ndim == 4:
            return array.transpose(2, 3, 1, 0)
        if array.ndim != 2:
            return array  # the check of shapes says what is wrong
        shape = flattened.get(layer)
        if shape is None or array.shape[1] != np.prod(shape):
            return array.T
        height, width, channels = shape
        chw = array.reshape(-1, channels, height, width)
        return chw.transpose(2, 3, 1, 0).reshape(-1, len(array))

    return layout


def _flattened(network: Network) -> dict[str, tuple[int, ...]]:
    """(H, W, C) that the first fully-connected layer flattens; none behind a global pooling."""
    for step, shape, _ in network.trace():
        if isinstance(step, GlobalPool) or network.flatten == "CHW":
            break
        if isinstance(step, Dense):
            return {step.name: shape}
    return {}
