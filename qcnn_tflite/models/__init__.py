"""Named networks, and every way to a float `.tflite`."""

from __future__ import annotations

from .embedded import calibration_images, test_images
from .load import FloatModel, load_float
from .registry import DEFAULT, NamedModel, get, names
from .weights import BatchNorm

__all__ = [
    "DEFAULT",
    "BatchNorm",
    "FloatModel",
    "NamedModel",
    "calibration_images",
    "get",
    "load_float",
    "names",
    "test_images",
]
