"""Brings whatever the user names to a float `.tflite`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..calibration.preprocessing import Preprocessing
from ..errors import ConfigError, ModelError
from ..graph import Model, read_mean_image, read_metadata, read_model
from ..graph.model import indices
from ..graph.schema import BuiltinOperator
from . import embedded
from .assemble import assemble
from .download import cache_folder, fetch
from .registry import NamedModel, get
from .weights import FORMATS, BatchNorm, WeightArrays, find_weights

_KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")


@dataclass(frozen=True)
class FloatModel:
    """A float model, and what is known about it.

    Parameters
    ----------
    data : bytes
        The `.tflite`.
    name : str
    preprocessing : Preprocessing or None
        None where the model does not declare it.
    labels : list of str or None
    licence : str or None
    softmax_applied : bool or None
        Whether the output is a softmax; None where that is not known.
    batch_norms : mapping of str to BatchNorm
        The batch normalizations that were folded into the layers of a named model, by the layer before
        each. A layer's response, before its activation, has roughly mean `beta` and standard deviation
        `gamma`. Empty where the weights hold none.
    """

    data: bytes
    name: str
    preprocessing: Preprocessing | None = None
    labels: list[str] | None = None
    licence: str | None = None
    softmax_applied: bool | None = None
    batch_norms: Mapping[str, BatchNorm] = field(default_factory=dict)


def load_float(
    model: Any,
    weights: str | os.PathLike[str] | None = None,
    seed: int = 0,
    *,
    progress: bool | None = None,
) -> FloatModel:
    """The float `.tflite` of a model.

    Parameters
    ----------
    model : str, path or keras.Model
        A name (`names`), a Keras model, the folder of a SavedModel, or the path of a `.tflite`,
        `.keras` or `.h5` file. A name comes before a path of the same spelling.
    weights : {"random"} or path, optional
        For a name: see `qcnn_tflite.models.weights.open_weights`. None takes the published ones: of this
        package (the default model) or another installed one (efficientnet_lite0), or from the cache,
        into which they are downloaded where that is possible.
    seed : int, default=0
        For random weights.
    progress : bool, optional
        Show a progress bar of a download on stderr; default: if that is a terminal.

    Returns
    -------
    FloatModel

    Raises
    ------
    ModelError
    """
    if isinstance(model, (str, os.PathLike)):
        text = os.fspath(model)
        if not _is_path(text):
            return _named(get(text), weights, seed, progress)
        _refuse_weights(weights, text)
        return _from_path(Path(text))
    if callable(getattr(model, "get_weights", None)) and hasattr(model, "layers"):
        _refuse_weights(weights, "a Keras model")
        from .keras import convert_keras

        return _described(convert_keras(model), getattr(model, "name", None) or "model")
    raise ModelError(
        "expected the name of a model, a Keras model, the folder of a SavedModel, or the path of a "
        f".tflite, .keras or .h5 file, got {type(model).__name__}"
    )


def _is_path(text: str) -> bool:
    """Anything with a suffix or a separator, and what exists, unless a model has that name."""
    try:
        get(text)
    except ModelError:
        path = Path(text)
        return bool(path.suffix) or len(path.parts) > 1 or path.exists() or not text.strip()
    return False


def _refuse_weights(weights: str | os.PathLike[str] | None, model: str) -> None:
    if weights is not None:
        raise ModelError(
            f"weights are for named models only, {model} has its own; leave weights (--weights) out"
        )


def _named(
    model: NamedModel,
    weights: str | os.PathLike[str] | None,
    seed: int,
    progress: bool | None,
) -> FloatModel:
    if weights is None:
        weights = published_weights(model, progress=progress)
    network, arrays = find_weights(model.network, weights, model=model.name, seed=seed)
    labels = None
    if os.fspath(weights) != "random" and model.labels and len(model.labels) == network.classes:
        labels = list(model.labels)
    licence = model.licence if _are_published(model, arrays, weights) else None
    metadata: dict[str, Any] = {
        "model": model.name,
        "input": model.preprocessing.to_metadata(),
        "output": {"softmax_applied": True, "labels": labels or []},
    }
    if licence:
        metadata["licence"] = licence
    data = assemble(network, arrays, name=model.name, metadata=metadata)
    return FloatModel(
        data,
        model.name,
        model.preprocessing,
        labels,
        licence,
        softmax_applied=True,
        batch_norms=arrays.batch_norms(),
    )


def published_weights(model: NamedModel, *, progress: bool | None = None) -> Path:
    """The file of a network's published weights: in a package, or in the cache.

    Raises
    ------
    ModelError
        If it cannot be had; the message says what to do.
    """
    source = model.source
    if source is None:
        return embedded.weights()
    installed = source.installed()
    if installed is not None:
        return installed
    if source.url:
        return fetch(source, model=model.name, progress=progress)
    cached = cache_folder() / source.file
    if cached.exists():
        return cached
    raise ModelError(
        f"{model.name} needs weights: {source.obtain}; or put {source.file} into {cached.parent}, "
        f'give another path ({FORMATS}), or "random"'
    )


def _are_published(
    model: NamedModel, arrays: WeightArrays, weights: str | os.PathLike[str]
) -> bool:
    """Whether the licence of the published weights is that of these."""
    if model.source is None:
        return Path(weights) == embedded.weights()
    return model.source.matches(arrays.digest(model.source.algorithm) or "random")


def _from_path(path: Path) -> FloatModel:
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise ModelError(
                f"{path} is a folder without saved_model.pb; give the folder of a SavedModel, or a "
                ".tflite, .keras or .h5 file"
            )
        from .keras import convert_saved_model

        return _described(convert_saved_model(path), path.name)
    if not path.is_file():
        raise ModelError(
            f"{path}: there is no such file; give a .tflite, .keras or .h5 file, the folder of a "
            "SavedModel, or a name (qcnn-tflite models)"
        )
    if path.suffix.lower() in _KERAS_SUFFIXES:
        from .keras import convert_keras, load_keras

        return _described(convert_keras(load_keras(path)), path.stem)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror})") from error
    try:
        return _described(data, path.stem)
    except ModelError as error:
        message = str(error)
        raise ModelError(message if str(path) in message else f"{path}: {message}") from error


def _described(data: bytes, name: str) -> FloatModel:
    """A model with what its own metadata say of it."""
    model = read_model(data)
    metadata = read_metadata(model) or {}
    preprocessing = None
    if "input" in metadata:
        try:
            preprocessing = Preprocessing.from_metadata(metadata, read_mean_image(model))
        except ConfigError as error:
            raise ModelError(
                f"the model's metadata declare a wrong preprocessing: {error}"
            ) from error
    output = metadata.get("output")
    output = output if isinstance(output, dict) else {}
    labels = output.get("labels")
    softmax = output.get("softmax_applied")
    return FloatModel(
        data,
        str(metadata.get("model", name)),
        preprocessing,
        [str(label) for label in labels] if isinstance(labels, list) and labels else None,
        str(metadata["licence"]) if metadata.get("licence") else None,
        bool(softmax) if isinstance(softmax, bool) else _ends_in_softmax(model),
    )


def _ends_in_softmax(model: Model) -> bool | None:
    """Whether the only output comes from a SOFTMAX."""
    outputs = indices(model.subgraph.outputs)
    if len(outputs) != 1:
        return None
    for operator in model.subgraph.operators:
        if outputs[0] in indices(operator.outputs):
            return model.builtin(operator) == BuiltinOperator.SOFTMAX
    return False
