"""TensorFlow Lite's flatbuffer schema, as ai-edge-litert generates it.

One place to import it from, so that a change of its home is mended here.
"""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.schema_py_generated import (
    BufferT,
    BuiltinOperator,
    BuiltinOptions,
    MetadataT,
    ModelT,
    OperatorCodeT,
    OperatorT,
    QuantizationParametersT,
    SubGraphT,
    TensorT,
    TensorType,
)

FILE_IDENTIFIER = b"TFL3"

__all__ = [
    "FILE_IDENTIFIER",
    "BufferT",
    "BuiltinOperator",
    "BuiltinOptions",
    "MetadataT",
    "ModelT",
    "OperatorCodeT",
    "OperatorT",
    "QuantizationParametersT",
    "SubGraphT",
    "TensorT",
    "TensorType",
    "schema",
]
