"""Small edits shared by the passes that write a changed copy of a model."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .model import Model, indices, operators
from .schema import BufferT, BuiltinOperator, OperatorCodeT, OperatorT, TensorT, TensorType

TENSOR_TYPES = {
    np.dtype(np.float32): TensorType.FLOAT32,
    np.dtype(np.float16): TensorType.FLOAT16,
    np.dtype(np.int8): TensorType.INT8,
    np.dtype(np.uint8): TensorType.UINT8,
    np.dtype(np.int32): TensorType.INT32,
}


def editable_copy(model: Model) -> Model:
    """A copy whose lists can be changed; tables and constants are shared and must be replaced."""
    schema = copy.copy(model.schema)
    schema.operatorCodes = list(schema.operatorCodes or [])
    schema.buffers = list(schema.buffers)
    schema.metadata = None if schema.metadata is None else list(schema.metadata)
    schema.subgraphs = list(schema.subgraphs)
    main = copy.copy(schema.subgraphs[0])
    main.tensors = list(main.tensors)
    main.operators = list(operators(main))
    schema.subgraphs[0] = main
    return Model(schema, list(model.files))


def add_buffer(model: Model, values: NDArray[Any] | bytes) -> int:
    """Append a constant; returns the buffer's index."""
    if isinstance(values, bytes):
        raw = np.frombuffer(values, np.uint8)
    else:
        raw = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    buffer = BufferT()
    buffer.data = raw
    model.schema.buffers.append(buffer)
    return len(model.schema.buffers) - 1


def constant_tensor(model: Model, name: str, values: NDArray[Any]) -> Any:
    """A constant tensor, not yet in the graph."""
    tensor = TensorT()
    tensor.name = name.encode()
    tensor.shape = np.array(values.shape, np.int32)
    tensor.type = TENSOR_TYPES[values.dtype]
    tensor.buffer = add_buffer(model, values)
    tensor.hasRank = True
    return tensor


def add_tensor(model: Model, tensor: Any) -> int:
    """Append a tensor to the main subgraph; returns its index."""
    model.subgraph.tensors.append(tensor)
    return len(model.subgraph.tensors) - 1


def put_constant(model: Model, slot: int | None, name: str, values: NDArray[Any]) -> int:
    """Put a constant into tensor `slot`, keeping its name, or append it when `slot` is None."""
    tensor = constant_tensor(model, name, values)
    if slot is None:
        return add_tensor(model, tensor)
    tensor.name = model.subgraph.tensors[slot].name
    model.subgraph.tensors[slot] = tensor
    return slot


def operator_code(model: Model, builtin: int, custom: str | None = None, version: int = 1) -> int:
    """Index of an operator code, appended if the model has none such."""
    for i, code in enumerate(model.schema.operatorCodes):
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        same = custom is None or code.customCode in (custom, custom.encode())
        if number == builtin and same and code.version >= version:
            return i
    code = OperatorCodeT()
    code.builtinCode = builtin
    code.deprecatedBuiltinCode = min(builtin, BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
    code.customCode = None if custom is None else custom.encode()
    code.version = version
    model.schema.operatorCodes.append(code)
    return len(model.schema.operatorCodes) - 1


def new_operator(code: int, inputs: list[int], outputs: list[int]) -> Any:
    operator = OperatorT()
    operator.opcodeIndex = code
    operator.inputs = np.array(inputs, np.int32)
    operator.outputs = np.array(outputs, np.int32)
    return operator


def drop_operators(model: Model, unwanted: set[int]) -> None:
    """Remove operators of the main subgraph by their present index."""
    model.subgraph.operators = [
        op for i, op in enumerate(model.subgraph.operators) if i not in unwanted
    ]


def release_constants(model: Model, tensors: set[int]) -> None:
    """Detach `tensors` of the main subgraph that nothing reads any more from their constants."""
    used = set(model.consumers()) | {
        t for op in model.subgraph.operators for t in indices(op.outputs)
    }
    for t in tensors - used:
        tensor = copy.copy(model.subgraph.tensors[t])
        tensor.buffer = 0
        model.subgraph.tensors[t] = tensor


def drop_unused_buffers(model: Model, before: Model) -> None:
    """Empty the buffers that tensors of `before` used and no tensor or metadata entry uses now."""

    def referenced(m: Model) -> set[int]:
        tensors = {t.buffer for g in m.schema.subgraphs for t in g.tensors}
        return tensors | {entry.buffer for entry in m.schema.metadata or []}

    for b in referenced(before) - referenced(model):
        model.schema.buffers[b] = BufferT()


def drop_unused_operator_codes(model: Model) -> None:
    """Remove operator codes without an operator, and renumber.

    A runtime looks every code up when it loads the file: an old one would refuse a model for the
    version of a convolution that is no longer in it.
    """
    used = sorted({op.opcodeIndex for g in model.schema.subgraphs for op in operators(g)})
    number = {old: new for new, old in enumerate(used)}
    for i, graph in enumerate(model.schema.subgraphs):
        changed = []
        for op in operators(graph):
            renumbered = copy.copy(op)
            renumbered.opcodeIndex = number[op.opcodeIndex]
            changed.append(renumbered)
        graph = copy.copy(graph)
        graph.operators = changed
        model.schema.subgraphs[i] = graph
    model.schema.operatorCodes = [model.schema.operatorCodes[i] for i in used]
