"""ONNX Runtime's int8: static quantization, QDQ, int8 weights with a scale a channel."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from benchmarks.onnx_network import to_onnx
from benchmarks.subjects import Subject
from qcnn_tflite.files import write_atomically


class _Images(CalibrationDataReader):
    """Calibration images, one after another."""

    def __init__(self, images: list[NDArray[np.float32]]) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image.transpose(0, 3, 1, 2)}


def make(what: Subject, path: Path, images: list[NDArray[np.float32]]) -> None:
    """Write the network, quantized on `images`."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(to_onnx(what).SerializeToString())
        quantize_static(
            source,
            target,
            _Images(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        write_atomically(path, target.read_bytes())
