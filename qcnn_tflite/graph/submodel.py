"""Cuts a stand-alone float model out of a graph, for layer-by-layer calibration."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .edit import add_tensor, constant_tensor, editable_copy
from .model import Model, indices
from .schema import BufferT, BuiltinOperator, schema

FloatArray = NDArray[np.float32]

_CALLS_SUBGRAPHS = {
    BuiltinOperator.IF,
    BuiltinOperator.WHILE,
    BuiltinOperator.CALL,
    BuiltinOperator.CALL_ONCE,
    BuiltinOperator.STABLEHLO_WHILE,
    BuiltinOperator.STABLEHLO_COMPOSITE,
}


def live_tensors(model: Model, op_index: int) -> list[int]:
    """Tensors that carry the image across the cut before `op_index`.

    Those that depend on the graph's inputs, exist before operator `op_index` and are read by it or
    a later one, or are outputs of the graph. Values computed from constants alone (dequantized
    weights) do not count.
    """
    graph = model.subgraph
    varying = _varying(model)
    before = set(indices(graph.inputs))
    before.update(t for op in graph.operators[:op_index] for t in indices(op.outputs))
    after = {t for op in graph.operators[op_index:] for t in indices(op.inputs)}
    after.update(indices(graph.outputs))
    return sorted(before & after & varying)


def extract(
    model: Model,
    inputs: list[int],
    outputs: list[int],
    first: int,
    last: int,
    replaced: Mapping[int, tuple[FloatArray, FloatArray | None]],
    *,
    batch: int | None = None,
) -> bytes:
    """A model that computes `outputs` from `inputs` with operators `first` up to before `last`.

    Parameters
    ----------
    model : Model
        Not changed.
    inputs, outputs : list of int
        Tensors of the main subgraph; their order is kept.
    first, last : int
        Operators of the main subgraph. Earlier ones join in where they only compute constants.
    replaced : mapping of operator index to (weights, bias)
        New constants of layers: weights of shape (C_out, kH, kW, C_in / groups), bias or None.
    batch : int or None
        New leading dimension of the inputs; RESHAPE operators to a fixed batch are mended.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        If an output cannot be computed from the inputs.
    """
    if set(inputs) & set(outputs):
        raise ValueError("a tensor cannot be both input and output of a submodel")
    out = editable_copy(model)
    graph = out.subgraph
    varying = _varying(model)
    wanted, chosen = set(outputs), []
    for i in range(last - 1, -1, -1):
        operator = graph.operators[i]
        made = set(indices(operator.outputs))
        if not made & wanted or (i < first and made & varying):
            continue
        chosen.append(i)
        if i in replaced:
            operator = _with_constants(out, operator, *replaced[i])
            graph.operators[i] = operator
        wanted |= {t for t in indices(operator.inputs) if t >= 0} - set(inputs)
    chosen.reverse()
    made = {t for i in chosen for t in indices(graph.operators[i].outputs)}
    absent = [
        t for t in wanted - made - set(inputs)
        if out.data(graph.tensors[t]) is None and not graph.tensors[t].isVariable
        and int(np.prod(out.shape(t))) != 0
    ]  # fmt: skip
    if absent:
        names = ", ".join(repr(out.tensor_name(t)) for t in absent)
        raise ValueError(
            f"operators {first} to {last} do not compute {names} from the inputs given"
        )
    native = out.shape(inputs[0])[0] if inputs and out.shape(inputs[0]) else 1
    if batch is not None and batch != native:
        _set_batch(out, inputs, chosen, wanted | made | set(inputs), native, batch)
    graph.operators = [graph.operators[i] for i in chosen]
    graph.inputs = np.array(inputs, np.int32)
    graph.outputs = np.array(outputs, np.int32)
    out.schema.signatureDefs = None
    out.schema.metadata = None
    out.schema.metadataBuffer = None
    out.files = []
    if not any(out.builtin(op) in _CALLS_SUBGRAPHS for op in graph.operators):
        out.schema.subgraphs = [graph]
    _keep_needed_tensors(out)
    return out.to_bytes()


def _varying(model: Model) -> set[int]:
    """Tensors that depend on the graph's inputs or on state."""
    graph = model.subgraph
    varying = set(indices(graph.inputs))
    varying.update(i for i, t in enumerate(graph.tensors) if t.isVariable)
    for operator in graph.operators:
        inputs = indices(operator.inputs)
        if varying.intersection(inputs) or not inputs:
            varying.update(indices(operator.outputs))
    return varying


def _with_constants(out: Model, operator: Any, weights: FloatArray, bias: FloatArray | None) -> Any:
    operator = copy.copy(operator)
    inputs = indices(operator.inputs)
    shape = out.shape(inputs[1])
    inputs[1] = add_tensor(out, constant_tensor(out, "weights", weights.reshape(shape)))
    inputs = inputs[:2]
    if bias is None and out.builtin(operator) == BuiltinOperator.CONV_2D:
        bias = np.zeros(len(weights), np.float32)  # the stock kernel refuses to go without
    if bias is not None:
        inputs.append(add_tensor(out, constant_tensor(out, "bias", bias)))
    operator.inputs = np.array(inputs, np.int32)
    return operator


def _set_batch(
    out: Model, inputs: list[int], chosen: list[int], tensors: set[int], native: int, batch: int
) -> None:
    graph = out.subgraph
    for t in tensors:
        shape = out.shape(t)
        if out.data(graph.tensors[t]) is None and len(shape) > 1 and shape[0] == native:
            tensor = copy.copy(graph.tensors[t])
            tensor.shape = np.array([batch, *shape[1:]], np.int32)
            tensor.shapeSignature = None
            graph.tensors[t] = tensor
    for i in chosen:
        operator = graph.operators[i]
        if out.builtin(operator) != BuiltinOperator.RESHAPE:
            continue
        slots = indices(operator.inputs)
        value = out.constant(slots[1]) if len(slots) > 1 and slots[1] >= 0 else None
        options = operator.builtinOptions
        if (
            value is None
            and isinstance(options, schema.ReshapeOptionsT)
            and options.newShape is not None
        ):
            value = np.asarray(options.newShape)
        if value is None or value.ndim != 1 or len(value) < 2 or value[0] != native:
            continue
        mended = value.astype(np.int32)
        mended[0] = batch
        operator = copy.copy(operator)
        tensor = add_tensor(out, constant_tensor(out, "shape", mended))
        operator.inputs = np.array([slots[0], tensor], np.int32)
        operator.builtinOptions = None
        operator.builtinOptionsType = 0
        graph.operators[i] = operator


def _keep_needed_tensors(out: Model) -> None:
    """Drop the tensors and constants that no operator left reads; renumber the main subgraph."""
    graph = out.subgraph
    used = set(indices(graph.inputs)) | set(indices(graph.outputs))
    for operator in graph.operators:
        used.update(t for t in (*indices(operator.inputs), *indices(operator.outputs)) if t >= 0)
        used.update(t for t in indices(operator.intermediates) if t >= 0)
    order = sorted(used)
    number = {t: n for n, t in enumerate(order)} | {-1: -1}
    graph.tensors = [graph.tensors[t] for t in order]
    for i, operator in enumerate(graph.operators):
        operator = copy.copy(operator)
        for field in ("inputs", "outputs", "intermediates"):
            values = getattr(operator, field)
            if values is not None:
                setattr(operator, field, np.array([number[t] for t in indices(values)], np.int32))
        graph.operators[i] = operator
    graph.inputs = np.array([number[t] for t in indices(graph.inputs)], np.int32)
    graph.outputs = np.array([number[t] for t in indices(graph.outputs)], np.int32)
    kept = {0} | {t.buffer for g in out.schema.subgraphs for t in g.tensors}
    out.schema.buffers = [b if i in kept else BufferT() for i, b in enumerate(out.schema.buffers)]
