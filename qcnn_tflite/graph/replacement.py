"""Gives layers that stay float other constants."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .edit import drop_unused_buffers, editable_copy, put_constant
from .layers import Layer
from .model import Model, indices

FloatArray = NDArray[np.float32]


def has_own_constants(model: Model, layer: Layer) -> bool:
    """Whether weights and bias are float32 constants of the main subgraph, not computed from others."""
    if layer.subgraph:
        return False
    tensors = [layer.weights] if layer.bias is None else [layer.weights, layer.bias]
    values = [model.constant(t) for t in tensors]
    return all(v is not None and v.dtype == np.float32 for v in values)


def with_constants(
    model: Model, layers: list[Layer], values: Mapping[str, tuple[FloatArray, FloatArray | None]]
) -> Model:
    """A copy of the model with other weights and biases in some float layers.

    Parameters
    ----------
    model : Model
        Not changed.
    layers : list of Layer
        All of the model's.
    values : mapping of layer name to (weights, bias)
        In the shapes of the graph's own constants; bias None where the layer has none. The layers
        have constants of their own, see `has_own_constants`.
    """
    out = editable_copy(model)
    uses = model.consumers()
    for layer in layers:
        if layer.name not in values:
            continue
        operator = copy.copy(out.subgraph.operators[layer.op_index])
        inputs = indices(operator.inputs)
        for slot, value in enumerate(values[layer.name], start=1):
            if value is None:
                continue
            tensor = inputs[slot]
            own = tensor if len(uses[tensor]) == 1 else None
            shaped = np.ascontiguousarray(value, np.float32).reshape(model.shape(tensor))
            inputs[slot] = put_constant(out, own, model.tensor_name(tensor), shaped)
        operator.inputs = np.array(inputs, np.int32)
        out.subgraph.operators[layer.op_index] = operator
    drop_unused_buffers(out, model)
    return out
