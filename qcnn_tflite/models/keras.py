"""Keras models and SavedModels to a float `.tflite`; the only place that imports TensorFlow."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..graph import read_model


def load_keras(path: Path) -> Any:
    """Load a `.keras` or `.h5` file.

    Raises
    ------
    ModelError
        If TensorFlow is missing or the file holds no whole model.
    """
    tf = _tensorflow()
    try:
        return tf.keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises nearly anything on a file that it cannot read
        raise ModelError(
            f"{path} cannot be loaded as a Keras model ({_first_line(error)}); save the whole model "
            "with model.save()"
        ) from error


def convert_keras(model: Any) -> bytes:
    """A Keras model as float `.tflite`, its tensors named after the layers.

    Raises
    ------
    ModelError
    """
    tf = _tensorflow()
    if not getattr(model, "built", True) or not getattr(model, "inputs", None):
        raise ModelError(
            "the Keras model has no inputs yet; build it first, e.g. with an Input layer"
        )
    data = _converted(lambda: tf.lite.TFLiteConverter.from_keras_model(model))
    return _renamed(data, _scopes(model))


def convert_saved_model(folder: Path) -> bytes:
    """A SavedModel's default signature as float `.tflite`.

    Raises
    ------
    ModelError
    """
    tf = _tensorflow()
    return _converted(lambda: tf.lite.TFLiteConverter.from_saved_model(str(folder)))


def _tensorflow() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow
    except ImportError as error:
        raise ModelError(
            f"Keras models and SavedModels need TensorFlow ({error}); pip install tensorflow, or "
            "convert to .tflite yourself and give that file"
        ) from error
    return tensorflow


def _converted(make: Any) -> bytes:
    try:
        with _quiet_stdout():
            data: bytes = make().convert()
    except Exception as error:  # the converter's errors have no common base
        raise ModelError(
            f"TensorFlow's converter refuses the model ({_first_line(error)}); convert it to .tflite "
            "yourself and give that file"
        ) from error
    return data


@contextlib.contextmanager
def _quiet_stdout() -> Iterator[None]:
    """Keras prints 'Saved artifact at …' where a command's JSON goes."""
    with open(os.devnull, "w", encoding="utf-8") as sink, contextlib.redirect_stdout(sink):
        yield


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return (text.splitlines()[0] if text else type(error).__name__)[:300]


def _scopes(model: Any) -> dict[str, str]:
    """TensorFlow's name scopes of a Keras model's layers, to the layers' own paths in the model.

    Keras opens each layer's scope twice, to build it and to call it, so operators end up under a name
    that TensorFlow made unique: ``dense`` under ``dense_1``. That may be another layer's name.
    """
    scopes: dict[str, str] = {}
    used: set[str] = set()

    def unique(name: str) -> str:
        candidate, number = name, 0
        while candidate.lower() in used:
            number += 1
            candidate = f"{name}_{number}"
        used.add(candidate.lower())
        return candidate

    def visit(layer: Any, outer: str, path: str) -> None:
        unique(outer + layer.name)
        scope = unique(outer + layer.name)
        scopes[scope] = path
        for child in getattr(layer, "layers", []):
            visit(child, f"{scope}/", f"{path}/{child.name}".lstrip("/"))

    visit(model, "", "")
    return scopes


def _renamed(data: bytes, scopes: dict[str, str]) -> bytes:
    """The model with scopes replaced in the names of its tensors."""
    model = read_model(data)
    for i, tensor in enumerate(model.subgraph.tensors):
        parts = model.tensor_name(i).split(";")
        tensor.name = ";".join(_rename(part, scopes) for part in parts).encode()
    return model.to_bytes()


def _rename(name: str, scopes: dict[str, str]) -> str:
    pieces = name.split("/")
    for end in range(len(pieces) - 1, 0, -1):
        path = scopes.get("/".join(pieces[:end]))
        if path is not None:
            return "/".join([*filter(None, [path]), *pieces[end:]])
    return name
