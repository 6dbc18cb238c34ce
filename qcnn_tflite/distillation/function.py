"""A float `.tflite` graph as a differentiable TensorFlow function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ModelError
from ..graph import Model
from ..graph.model import indices
from ..graph.schema import BuiltinOperator
from .operators import TRANSLATIONS, Node, operator_name
from .tensorflow import tensorflow

# What only arranges values between the last softmax and the output.
_ARRANGING = (BuiltinOperator.RESHAPE, BuiltinOperator.SQUEEZE)


class GraphFunction:
    """Computes tensors of a graph's main subgraph from its input.

    Parameters
    ----------
    model : Model
        Float; with a single input, whose leading axis is the batch.
    wanted : sequence of int
        Tensors that calls return. Operators that none of them needs may be unknown.

    Raises
    ------
    ModelError
        If an operator on the way is not known, or the graph has not one input.
    """

    def __init__(self, model: Model, wanted: Sequence[int]) -> None:
        graph = model.subgraph
        if len(graph.inputs) != 1:
            raise ModelError(
                f"distillation feeds one input, this model has {len(graph.inputs)}; convert without "
                "distill"
            )
        self.source = int(graph.inputs[0])
        self.wanted = tuple(wanted)
        self._constants: dict[int, np.ndarray[Any, Any]] = {}
        self._steps: list[tuple[int, int, tuple[int, ...], Node]] = []
        native = model.shape(self.source)[:1]
        batch = native[0] if native else 1
        for i in _needed(model, self.wanted):
            operator = graph.operators[i]
            builtin = model.builtin(operator)
            if builtin not in TRANSLATIONS:
                raise ModelError(
                    f"distillation does not know the operator {operator_name(builtin)} "
                    f"({model.tensor_name(indices(operator.outputs)[0])!r}); convert without distill"
                )
            inputs = tuple(indices(operator.inputs))
            for t in inputs:
                value = model.constant(t) if t >= 0 else None
                if value is not None:
                    half = value.dtype == np.float16
                    self._constants[t] = value.astype(np.float32) if half else value
            output = indices(operator.outputs)[0]
            constants = tuple(self._constants.get(t) for t in inputs)
            node = Node(
                model.tensor_name(output),
                operator.builtinOptions,
                constants,
                model.shape(output),
                batch,
            )
            self._steps.append((i, output, inputs, node))
        self._builtins = {i: model.builtin(graph.operators[i]) for i, *_ in self._steps}
        # Made here and not in a call: a traced function would hold a copy of each, several times.
        tf = tensorflow()
        self._tensors = {t: tf.constant(v) for t, v in self._constants.items()}

    def __call__(
        self, images: Any, layers: Mapping[int, tuple[Any, Any]] | None = None
    ) -> dict[int, Any]:
        """Values of the wanted tensors.

        Parameters
        ----------
        images : tensor of shape (n, ...), float32
        layers : mapping of operator index to (weights, bias), optional
            Take the place of these layers' constants: weights of the graph's own shape, bias of shape
            (C_out,) or None.

        Returns
        -------
        dict of tensor index to tensor
        """
        layers = layers or {}
        values: dict[int, Any] = {self.source: images}

        def value(t: int) -> Any:
            if t < 0:
                return None
            if t in values:
                return values[t]
            return self._tensors[t]

        for i, output, inputs, node in self._steps:
            builtin = self._builtins[i]
            if i in layers:
                arguments = [value(inputs[0]), *layers[i]]
            elif builtin in _ARRANGING:  # a computed shape is not looked at
                arguments = [value(inputs[0])]
            else:
                arguments = [value(t) for t in inputs]
            values[output] = TRANSLATIONS[builtin](node, arguments)
        return {t: values[t] for t in self.wanted}


def _needed(model: Model, wanted: Sequence[int]) -> list[int]:
    """Operators that `wanted` depends on, in graph order."""
    pending, chosen = set(wanted), []
    for i in range(len(model.subgraph.operators) - 1, -1, -1):
        operator = model.subgraph.operators[i]
        if pending.intersection(indices(operator.outputs)):
            chosen.append(i)
            inputs = [t for t in indices(operator.inputs) if t >= 0]
            pending.update(inputs[:1] if model.builtin(operator) in _ARRANGING else inputs)
    return chosen[::-1]


def logits(model: Model) -> int:
    """The tensor before the softmax or sigmoid of the graph's first output; else that output."""
    graph = model.subgraph
    producers = {t: op for op in graph.operators for t in indices(op.outputs)}
    output = tensor = int(graph.outputs[0])
    while tensor in producers:
        operator = producers[tensor]
        builtin = model.builtin(operator)
        if builtin in (BuiltinOperator.SOFTMAX, BuiltinOperator.LOGISTIC):
            return indices(operator.inputs)[0]
        if builtin not in _ARRANGING:
            break
        tensor = indices(operator.inputs)[0]
    return output
