"""Values in the types of a model's inputs and outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def as_input(values: FloatArray, detail: dict[str, Any]) -> NDArray[Any]:
    """Float values in an input's type, quantized as an integer model says.

    Parameters
    ----------
    values : ndarray
    detail : dict
        Of the interpreter's `get_input_details`.
    """
    dtype = np.dtype(detail["dtype"])
    if dtype.kind == "f":
        return np.ascontiguousarray(values, dtype)
    scale, zero = detail.get("quantization", (0.0, 0))
    if dtype.kind not in "iu" or not scale:
        return np.ones(values.shape, dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values / scale) + zero, limits.min, limits.max).astype(dtype)


def as_float(values: NDArray[Any], detail: dict[str, Any]) -> FloatArray:
    """An output's values, decoded if it is an integer model's."""
    scale, zero = detail.get("quantization", (0.0, 0))
    if values.dtype.kind == "f" or not scale:
        return values.astype(np.float32, copy=False)
    return (values.astype(np.float32) - zero) * np.float32(scale)
