"""Finds the layers that product quantization can take, and says why it cannot take the others."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .model import Model, indices, is_custom, operators
from .names import layer_names
from .ops import ACTIVATIONS, MAX_OPTION
from .schema import BuiltinOperator, TensorType, schema

FloatArray = NDArray[np.float32]

_LAYERS = {
    BuiltinOperator.CONV_2D: "conv",
    BuiltinOperator.FULLY_CONNECTED: "fc",
    BuiltinOperator.DEPTHWISE_CONV_2D: "depthwise",
    BuiltinOperator.TRANSPOSE_CONV: "transpose_conv",
    BuiltinOperator.CONV_3D: "conv3d",
}
_QUANTIZED = "its weights are integers: quantized already"
_SAME = 0


@dataclass(frozen=True)
class Layer:
    """A convolution or fully-connected layer of a model.

    Parameters
    ----------
    name : str
        Unique in the model, from the names of its tensors.
    kind : {"conv", "conv1x1", "fc", "depthwise", "transpose_conv", "conv3d"}
    subgraph, op_index : int
    input, output, weights : int
        Tensor indices.
    bias : int or None
    kernel, stride, dilation : tuple of (int, int)
        Height, width; (1, 1) for a fully-connected layer.
    padding : {"SAME", "VALID"}
    pad_op : int or None
        Index of a PAD operator that only this layer reads and that EXPLICIT padding can replace.
    pads : tuple of int
        Top, bottom, left, right that `pad_op` adds.
    groups, in_channels, out_channels : int
        `in_channels` counts all groups.
    activation : int
        TFLite's number.
    keep_num_dims : bool
    shuffled : bool
        Weights in another order than rows of outputs.
    input_shape, output_shape : tuple of int
        Static shapes.
    ineligible : str or None
        Why the layer has to stay float.
    """

    name: str
    kind: str
    subgraph: int
    op_index: int
    input: int
    output: int
    weights: int
    bias: int | None
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: str = "VALID"
    pad_op: int | None = None
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    in_channels: int = 0
    out_channels: int = 0
    activation: int = 0
    keep_num_dims: bool = False
    shuffled: bool = False
    input_shape: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()
    ineligible: str | None = None

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """(C_out, kH, kW, C_in of one group), as `layer_weights` returns."""
        return (self.out_channels, *self.kernel, self.in_channels // max(self.groups, 1))

    @property
    def weight_count(self) -> int:
        return int(np.prod(self.weight_shape))

    @property
    def float_bytes(self) -> int:
        """Bytes of weights and bias as float32."""
        return 4 * (self.weight_count + (self.out_channels if self.bias is not None else 0))

    @property
    def positions(self) -> int:
        """Output positions of one image; rows of a fully-connected layer."""
        if self.kind == "fc":
            return max(1, int(np.prod(self.output_shape[:-1])))
        return int(np.prod(self.output_shape[1:3]))


def find_layers(model: Model) -> list[Layer]:
    """All convolution-like and fully-connected layers, in graph order, main subgraph first.

    Raises
    ------
    ModelError
        If a layer of the main subgraph contradicts itself.
    """
    layers: list[Layer] = []
    for s, graph in enumerate(model.schema.subgraphs):
        producers = {t: i for i, op in enumerate(operators(graph)) for t in indices(op.outputs)}
        uses = model.consumers(graph)
        for i, operator in enumerate(operators(graph)):
            builtin = model.builtin(operator)
            if builtin in _LAYERS:
                layers.append(_layer(model, s, i, _LAYERS[builtin], producers, uses))
    names = layer_names([_tensor_names(model, layer) for layer in layers])
    return [replace(layer, name=name) for layer, name in zip(layers, names, strict=True)]


def check_convertible(model: Model) -> None:
    """Refuse a model that is quantized already, or that nothing can be put into or got out of.

    Raises
    ------
    ModelError
        If a layer has integer weights, or is a QConv or QFC, or the model has no input or output.
    """
    for kind, tensors in (("input", model.subgraph.inputs), ("output", model.subgraph.outputs)):
        if not indices(tensors):
            raise ModelError(f"the model has no {kind}; export it again, from images to scores")
    for graph in model.schema.subgraphs:
        if any(is_custom(model, op, name) for op in operators(graph) for name in ("QConv", "QFC")):
            raise ModelError(
                "this model holds QConv or QFC layers: it has been converted already; convert the "
                "float model that it came from"
            )
    for layer in find_layers(model):
        if layer.ineligible == _QUANTIZED:
            raise ModelError(
                f"layer {layer.name!r} has integer weights: the model is quantized already; "
                "convert the float model that it came from"
            )


def _tensor_names(model: Model, layer: Layer) -> list[str]:
    graph = model.schema.subgraphs[layer.subgraph]
    return [model.tensor_name(t, graph) for t in (layer.weights, layer.output)]


def _layer(
    model: Model,
    s: int,
    i: int,
    kind: str,
    producers: dict[int, int],
    uses: dict[int, list[tuple[int, int]]],
) -> Layer:
    graph = model.schema.subgraphs[s]
    operator = graph.operators[i]
    inputs, outputs = indices(operator.inputs), indices(operator.outputs)
    slot = 2 if kind == "transpose_conv" else 0
    if (
        len(inputs) < max(2, slot + 1)
        or min(inputs[slot], inputs[1], *outputs[:1], 0) < 0
        or not outputs
    ):
        raise ModelError(f"operator {i} ({kind}) lacks an input, its weights or its output")
    bias = inputs[2] if kind != "transpose_conv" and len(inputs) > 2 else -1
    layer = Layer(
        name="",
        kind=kind,
        subgraph=s,
        op_index=i,
        input=inputs[slot],
        output=outputs[0],
        weights=inputs[1],
        bias=bias if bias >= 0 else None,
        input_shape=model.shape(inputs[slot], graph),
        output_shape=model.shape(outputs[0], graph),
    )
    shape = model.shape(layer.weights, graph)
    quantized = _quantized(model, graph, layer.weights, producers)
    if kind not in ("conv", "fc"):
        layer = replace(layer, **_other_layer(kind, shape))
        return replace(layer, ineligible=_QUANTIZED) if quantized else layer
    layer, reason = (_conv if kind == "conv" else _fc)(layer, operator.builtinOptions, shape)
    if quantized:
        return replace(layer, ineligible=_QUANTIZED)
    if s:
        return replace(layer, ineligible="in another subgraph than the main one")
    if reason is None:
        reason = _obstacle(model, layer, producers)
    elif model.data(graph.tensors[layer.weights]) is not None:
        raise ModelError(f"operator {i} ({kind}) contradicts itself: {reason}; the file is damaged")
    if kind == "conv" and reason is None:
        layer = replace(layer, **_foldable_pad(model, layer, producers, uses))
    return replace(layer, ineligible=reason)


def _other_layer(kind: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Fields of a layer of a kind that always stays float."""
    if kind != "depthwise":
        return {"out_channels": shape[0] if shape else 0, "ineligible": f"{kind} is not supported"}
    channels = shape[-1] if shape else 0
    return {
        "out_channels": channels,
        "in_channels": channels,
        "groups": channels,
        "kernel": shape[1:3] if len(shape) == 4 else (1, 1),
        "ineligible": "depthwise: one input channel per output leaves no subspace",
    }


def _conv(layer: Layer, options: Any, shape: tuple[int, ...]) -> tuple[Layer, str | None]:
    """A CONV_2D's fields, and what is wrong with them."""
    if not isinstance(options, schema.Conv2DOptionsT):
        return layer, "it has no options"
    if len(shape) != 4 or len(layer.input_shape) != 4 or min(shape) < 1:
        return (
            layer,
            f"a filter of shape {list(shape)} on an input of shape {list(layer.input_shape)}",
        )
    outputs, kernel, depth, channels = shape[0], shape[1:3], shape[3], layer.input_shape[3]
    layer = replace(
        layer,
        kind="conv1x1" if kernel == (1, 1) else "conv",
        kernel=kernel,
        stride=(int(options.strideH), int(options.strideW)),
        dilation=(int(options.dilationHFactor), int(options.dilationWFactor)),
        padding="SAME" if options.padding == _SAME else "VALID",
        activation=int(options.fusedActivationFunction),
        in_channels=channels,
        out_channels=outputs,
    )
    if channels < depth or channels % depth or outputs % (channels // depth):
        return layer, f"{channels} input and {outputs} output channels in groups of {depth}"
    if min(*layer.stride, *layer.dilation) < 1:
        return layer, f"stride {layer.stride} and dilation {layer.dilation}, expected at least 1"
    return replace(layer, groups=channels // depth), None


def _fc(layer: Layer, options: Any, shape: tuple[int, ...]) -> tuple[Layer, str | None]:
    """A FULLY_CONNECTED's fields, and what is wrong with them."""
    if not isinstance(options, schema.FullyConnectedOptionsT):
        return layer, "it has no options"
    if len(shape) != 2 or min(shape) < 1:
        return layer, f"weights of shape {list(shape)}"
    layer = replace(
        layer,
        out_channels=shape[0],
        in_channels=shape[1],
        activation=int(options.fusedActivationFunction),
        keep_num_dims=bool(options.keepNumDims),
        shuffled=bool(options.weightsFormat),
    )
    return layer, None


def _obstacle(model: Model, layer: Layer, producers: dict[int, int]) -> str | None:
    """Why a sound layer of the main subgraph cannot be quantized."""
    tensors = model.subgraph.tensors
    if layer.shuffled:
        return "its weights are in a shuffled format"
    if layer.activation not in ACTIVATIONS:
        return f"fused activation number {layer.activation} is not supported"
    sizes = (layer.in_channels, layer.out_channels, *layer.kernel, *layer.stride, *layer.dilation)
    if max(sizes) > MAX_OPTION:
        return f"a size of {max(sizes)}, beyond the limit {MAX_OPTION} of the custom ops"
    if any(tensors[t].type != TensorType.FLOAT32 for t in (layer.input, layer.output)):
        return "its input or output is not float32"
    if tensors[layer.weights].sparsity is not None:
        return "its weights are stored sparse"
    if _constant_behind(model, layer.weights, producers) is None:
        return "its weights are computed, not constant"
    if layer.bias is not None and _constant_behind(model, layer.bias, producers) is None:
        return "its bias is computed, not constant"
    return None


def _foldable_pad(
    model: Model,
    layer: Layer,
    producers: dict[int, int],
    uses: dict[int, list[tuple[int, int]]],
) -> dict[str, Any]:
    """Fields for a zero PAD of height and width that only this VALID convolution reads."""
    op = producers.get(layer.input)
    if op is None or layer.padding != "VALID" or uses[layer.input] != [(layer.op_index, 0)]:
        return {}
    pad = model.subgraph.operators[op]
    inputs = indices(pad.inputs)
    if model.builtin(pad) != BuiltinOperator.PAD or len(inputs) != 2 or min(inputs) < 0:
        return {}
    source, amounts = inputs
    constant = model.constant(amounts)
    if constant is None or constant.shape != (4, 2) or len(model.shape(source)) != 4:
        return {}
    values = constant.astype(np.int64)
    if values[[0, 3]].any() or values.min() < 0 or values.max() > MAX_OPTION:
        return {}
    if model.subgraph.tensors[source].type != TensorType.FLOAT32:
        return {}
    top, bottom, left, right = (int(v) for v in values[1:3].ravel())
    return {
        "pad_op": op,
        "pads": (top, bottom, left, right),
        "input": source,
        "input_shape": model.shape(source),
    }


def _dequantized(model: Model, graph: Any, tensor: int, producers: dict[int, int]) -> int | None:
    """The constant that a DEQUANTIZE turns into `tensor`, or None."""
    op = producers.get(tensor)
    if op is None or model.builtin(graph.operators[op]) != BuiltinOperator.DEQUANTIZE:
        return None
    source = next(iter(indices(graph.operators[op].inputs)), -1)
    return source if source >= 0 and model.data(graph.tensors[source]) is not None else None


def _quantized(model: Model, graph: Any, weights: int, producers: dict[int, int]) -> bool:
    """Whether weights are integers, directly or behind a DEQUANTIZE."""
    source = _dequantized(model, graph, weights, producers)
    types = {graph.tensors[t].type for t in (weights, source) if t is not None}
    return not types <= {
        TensorType.FLOAT32,
        TensorType.FLOAT16,
        TensorType.FLOAT64,
        TensorType.BFLOAT16,
    }


def _constant_behind(model: Model, tensor: int, producers: dict[int, int]) -> int | None:
    """The constant behind a tensor: itself, or the float16 input of its DEQUANTIZE."""
    graph = model.subgraph
    if model.data(graph.tensors[tensor]) is not None:
        return tensor if graph.tensors[tensor].type == TensorType.FLOAT32 else None
    source = _dequantized(model, graph, tensor, producers)
    half = source is not None and graph.tensors[source].type == TensorType.FLOAT16
    return source if half else None


def _constant(model: Model, tensor: int) -> FloatArray:
    graph = model.subgraph
    producers = {t: i for i, op in enumerate(graph.operators) for t in indices(op.outputs)}
    source = _constant_behind(model, tensor, producers)
    value = None if source is None else model.constant(source)
    if value is None:
        raise ModelError(f"tensor {model.tensor_name(tensor)!r} is not a constant")
    return value.astype(np.float32, copy=False)


def layer_weights(model: Model, layer: Layer) -> FloatArray:
    """Weights of a layer of the main subgraph, shape (C_out, kH, kW, C_in / groups).

    Raises
    ------
    ModelError
        If a weight is NaN or infinite, or the layer has no constant weights or none of this shape,
        as a kind of layer that always stays float.
    """
    weights = _constant(model, layer.weights)
    if weights.size != math.prod(layer.weight_shape):
        raise ModelError(
            f"layer {layer.name!r} has {weights.size:,} weights, expected the shape "
            f"{list(layer.weight_shape)}"
        )
    weights = weights.reshape(layer.weight_shape)
    if not np.isfinite(weights).all():
        raise ModelError(
            f"layer {layer.name!r} has weights that are NaN or infinite; train it anew"
        )
    return weights


def layer_bias(model: Model, layer: Layer) -> FloatArray | None:
    """Bias of a layer of the main subgraph, shape (C_out,), or None."""
    if layer.bias is None:
        return None
    bias = _constant(model, layer.bias).reshape(-1)
    if bias.shape != (layer.out_channels,) or not np.isfinite(bias).all():
        raise ModelError(f"layer {layer.name!r} has a bias that does not fit or is not finite")
    return bias
