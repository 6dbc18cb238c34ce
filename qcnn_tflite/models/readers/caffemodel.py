"""Weights of a ``.caffemodel``: Caffe's NetParameter, read by its field numbers; no Caffe needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError

# A message cannot be larger.
_MAX_FILE = 2 << 30
_OPTIONAL, _REPEATED = 1, 3
_INT32, _INT64, _STRING, _MESSAGE, _BYTES = 5, 3, 9, 11, 12

# Message: field, number, label, type. From Caffe's caffe.proto. Packed floats and an array of bytes are
# the same on the wire, and as bytes they become an array without a Python object for every number.
_MESSAGES: dict[str, tuple[tuple[str, int, int, int | str], ...]] = {
    "Shape": (("dim", 1, _REPEATED, _INT64),),
    "Blob": (
        ("num", 1, _OPTIONAL, _INT32),
        ("channels", 2, _OPTIONAL, _INT32),
        ("height", 3, _OPTIONAL, _INT32),
        ("width", 4, _OPTIONAL, _INT32),
        ("data", 5, _REPEATED, _BYTES),
        ("shape", 7, _OPTIONAL, "Shape"),
        ("double_data", 8, _REPEATED, _BYTES),
    ),
    "V0Layer": (("name", 1, _OPTIONAL, _STRING), ("blobs", 50, _REPEATED, "Blob")),
    "V1Layer": (
        ("layer", 1, _OPTIONAL, "V0Layer"),
        ("name", 4, _OPTIONAL, _STRING),
        ("blobs", 6, _REPEATED, "Blob"),
    ),
    "Layer": (("name", 1, _OPTIONAL, _STRING), ("blobs", 7, _REPEATED, "Blob")),
    "Net": (("layers", 2, _REPEATED, "V1Layer"), ("layer", 100, _REPEATED, "Layer")),
}


class Caffemodel(Mapping[str, NDArray[Any]]):
    """Blobs by ``layer/number``, 0 being the weights and 1 the bias.

    Shapes are as in the file: four dimensions for everything in files from before 2015, in which a
    fully-connected layer's weights are (1, 1, out, in).

    Raises
    ------
    ModelError
        If the file is damaged or holds no weights; later, when a blob does not have the numbers that its
        shape says.
    """

    def __init__(self, path: Path) -> None:
        from google.protobuf.message import DecodeError

        self._path = path
        try:
            if path.stat().st_size >= _MAX_FILE:
                raise ModelError(f"{path} has more than 2 GiB, which no .caffemodel can have")
            net = _net_class().FromString(path.read_bytes())
        except (OSError, DecodeError) as error:
            raise ModelError(
                f"{path} is not a .caffemodel ({error}); fetch the file again"
            ) from error
        self._blobs: dict[str, Any] = {}
        for layer in (*net.layers, *net.layer):
            # The oldest format wraps a layer into another one.
            inner = layer.layer if hasattr(layer, "layer") and layer.HasField("layer") else layer
            for i, blob in enumerate(inner.blobs):
                self._blobs[f"{inner.name}/{i}"] = blob
        if not self._blobs:
            raise ModelError(
                f"{path} holds no layer with weights; expected a trained .caffemodel, not a .prototxt "
                "or a solver's state"
            )

    def __getitem__(self, name: str) -> NDArray[Any]:
        blob = self._blobs[name]
        double = b"".join(blob.double_data)
        data = double or b"".join(blob.data)
        dtype = np.dtype("<f8" if double else "<f4")
        shape = (
            tuple(blob.shape.dim)
            if blob.HasField("shape")
            else (blob.num, blob.channels, blob.height, blob.width)
        )
        count = 1
        for n in shape:
            count *= n
        if min(shape, default=1) < 0 or count * dtype.itemsize != len(data):
            raise ModelError(
                f"{self._path}: blob {name} of shape {list(shape)} should have {count} numbers and has "
                f"{len(data) / dtype.itemsize:g}; the file is damaged"
            )
        try:
            return np.frombuffer(data, dtype).reshape(shape)
        except ValueError as error:  # more dimensions than NumPy knows
            raise ModelError(f"{self._path}: blob {name} cannot be read ({error})") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._blobs)

    def __len__(self) -> int:
        return len(self._blobs)


@cache
def _net_class() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(
        name="qcnn_tflite/caffe.proto", package="qcnn_tflite.caffe", syntax="proto2"
    )
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, number, label, kind in fields:
            field = described.field.add(name=name, number=number, label=label)
            if isinstance(kind, str):
                field.type, field.type_name = _MESSAGE, f".qcnn_tflite.caffe.{kind}"
            else:
                field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("qcnn_tflite.caffe.Net"))
