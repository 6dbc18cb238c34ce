"""What kind of weights a model file holds, told without reading the weights."""

from __future__ import annotations

import mmap
import os
from typing import Any

from .schema import BuiltinOperator, TensorType, schema

_OURS = {b"QConv", b"QFC"}


def describe_variant(path: str | os.PathLike[str]) -> tuple[str, bool]:
    """Kind of weights, and whether there is local response normalization.

    Parameters
    ----------
    path : path
        Of a model that an interpreter has loaded.

    Returns
    -------
    variant : {"q", "int8", "int8 weights", "float16", "float"}
        "q" with any op of ours, "int8" with any activation of that type, "int8 weights" (dynamic
        range) and "float16" with any constant of that type.
    has_lrn : bool
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        # The reader's numpy views must be gone before the map is closed: nothing below keeps one.
        return _described(schema.Model.GetRootAs(data, 0))


def _described(model: Any) -> tuple[str, bool]:
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    has_lrn = any(
        # Codes below 127 stand in this field in files of every age.
        code.DeprecatedBuiltinCode() == BuiltinOperator.LOCAL_RESPONSE_NORMALIZATION
        for code in codes
    )
    if any(code.CustomCode() in _OURS for code in codes):
        return "q", has_lrn
    constants: set[int] = set()
    activations: set[int] = set()
    for graph in (model.Subgraphs(i) for i in range(model.SubgraphsLength())):
        for tensor in (graph.Tensors(i) for i in range(graph.TensorsLength())):
            buffer = model.Buffers(tensor.Buffer())
            constant = buffer.DataLength() > 0 or buffer.Offset() > 1
            (constants if constant else activations).add(tensor.Type())
    if TensorType.INT8 in activations:
        return "int8", has_lrn
    if TensorType.INT8 in constants:
        return "int8 weights", has_lrn
    return ("float16" if TensorType.FLOAT16 in constants else "float"), has_lrn
