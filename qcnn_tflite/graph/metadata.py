"""Our entry of the model's metadata: preprocessing, labels, origin (design of the JSON: docs)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .edit import add_buffer
from .model import Model
from .schema import MetadataT

ENTRY = "qcnn_tflite"
MEAN_IMAGE = "qcnn_tflite.mean_image"
FORMAT = 1


def read_metadata(model: Model) -> dict[str, Any] | None:
    """The JSON of the entry ``qcnn_tflite``, or None where the model has none.

    Raises
    ------
    ModelError
        If the entry is not what this package writes.
    """
    data = _entry(model, ENTRY)
    if data is None:
        return None
    try:
        values = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the model's qcnn_tflite metadata is not JSON ({error})") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ModelError(
            f"the model's qcnn_tflite metadata has format "
            f"{values.get('format') if isinstance(values, dict) else None!r}, this package reads "
            f"format {FORMAT}; update qcnn_tflite"
        )
    return values


def read_mean_image(model: Model) -> NDArray[np.float32] | None:
    """The mean image, shape (H, W, 3), H and W being those of the metadata's ``size``, or None."""
    data = _entry(model, MEAN_IMAGE)
    if data is None:
        return None
    try:
        height, width = (int(n) for n in (read_metadata(model) or {})["input"]["size"])
        if min(height, width) < 1:
            raise ValueError(f"size {height} x {width}")
        return np.frombuffer(data, np.float16).reshape(height, width, 3).astype(np.float32)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"the model's mean image does not fit its metadata ({error})") from error


def write_metadata(
    model: Model, values: dict[str, Any] | None, mean_image: NDArray[np.float32] | None
) -> None:
    """Replace the entries in an editable copy; None leaves what is there."""
    if values is not None:
        text = json.dumps({**values, "format": FORMAT}, sort_keys=True, separators=(",", ":"))
        _put(model, ENTRY, text.encode())
    if mean_image is not None:
        _put(model, MEAN_IMAGE, np.ascontiguousarray(mean_image, np.float16).tobytes())


def _name(entry: Any) -> str:
    return entry.name.decode("utf-8", "replace") if isinstance(entry.name, bytes) else entry.name


def _entry(model: Model, name: str) -> bytes | None:
    for entry in model.schema.metadata or []:
        if _name(entry) == name:
            data = model.schema.buffers[entry.buffer].data
            return b"" if data is None else bytes(data)
    return None


def _put(model: Model, name: str, data: bytes) -> None:
    entry = MetadataT()
    entry.name = name.encode()
    entry.buffer = add_buffer(model, data)
    kept = [e for e in model.schema.metadata or [] if _name(e) != name]
    model.schema.metadata = [*kept, entry]
