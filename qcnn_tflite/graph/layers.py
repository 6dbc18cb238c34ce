"""Finds the layers that product quantization can take, and says why it cannot take the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .model import Model, indices, operators
from .schema import BuiltinOperator, TensorType

FloatArray = NDArray[np.float32]

_LAYERS = {
    BuiltinOperator.CONV_2D: "conv",
    BuiltinOperator.FULLY_CONNECTED: "fc",
    BuiltinOperator.DEPTHWISE_CONV_2D: "depthwise",
    BuiltinOperator.TRANSPOSE_CONV: "transpose_conv",
    BuiltinOperator.CONV_3D: "conv3d",
}
_INTEGER = {TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.INT4}
# Fused activations that the custom ops know: NONE, RELU, RELU_N1_TO_1, RELU6.
_ACTIVATIONS = {0: "none", 1: "relu", 2: "relu_n1_to_1", 3: "relu6"}
_SAME, _VALID = 0, 1


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
        If the model is quantized already, or a layer contradicts itself.
    """
    layers: list[Layer] = []
    for s, graph in enumerate(model.schema.subgraphs):
        producers = {t: i for i, op in enumerate(operators(graph)) for t in indices(op.outputs)}
        uses = model.consumers(graph)
        for i, operator in enumerate(operators(graph)):
            builtin = model.builtin(operator)
            if builtin == BuiltinOperator.CUSTOM and model.custom_name(operator) in ("QConv", "QFC"):
                raise ModelError(
                    "this model holds QConv or QFC layers: it has been converted already; "
                    "convert the float model that it came from"
                )
            if builtin in _LAYERS:
                layers.append(_layer(model, s, i, _LAYERS[builtin], producers, uses))
    return _named(model, layers)


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
    inputs = indices(operator.inputs)
    outputs = indices(operator.outputs)
    slot = 2 if kind == "transpose_conv" else 0
    if len(inputs) < 2 or not outputs or inputs[slot if slot < len(inputs) else 0] < 0 or inputs[1] < 0:
        raise ModelError(f"operator {i} ({kind}) lacks an input, its weights or its output")
    data, weights = inputs[slot if slot < len(inputs) else 0], inputs[1]
    bias = inputs[2] if kind in ("conv", "fc", "depthwise") and len(inputs) > 2 else -1
    shape = model.shape(weights, graph)
    known: dict[str, Any] = {
        "name": "",
        "kind": kind,
        "subgraph": s,
        "op_index": i,
        "input": data,
        "output": outputs[0],
        "weights": weights,
        "bias": bias if bias >= 0 else None,
        "input_shape": model.shape(data, graph),
        "output_shape": model.shape(outputs[0], graph),
    }
    if graph.tensors[weights].type in _INTEGER:
        raise ModelError(
            f"layer {model.tensor_name(outputs[0], graph)!r} has integer weights: the model is "
            "quantized already; convert the float model that it came from"
        )
    if kind == "depthwise":
        known["out_channels"] = shape[-1] if shape else 0
        known["in_channels"] = known["groups"] = known["out_channels"]
        known["kernel"] = tuple(shape[1:3]) if len(shape) == 4 else (1, 1)
        return Layer(**known, ineligible="depthwise: one input channel per output leaves no subspace")
    if kind in ("transpose_conv", "conv3d"):
        known["out_channels"] = shape[0] if shape else 0
        return Layer(**known, ineligible=f"{kind} is not supported")
    options = operator.builtinOptions
    if options is None:
        raise ModelError(f"operator {i} ({kind}) has no options; the file is damaged")
    reason = None
    known["activation"] = int(options.fusedActivationFunction)
    if kind == "conv":
        if len(shape) != 4 or len(known["input_shape"]) != 4 or min(shape) < 1:
            raise ModelError(f"operator {i}: CONV_2D with a filter of shape {list(shape)}")
        known["out_channels"], kernel, depth = shape[0], (shape[1], shape[2]), shape[3]
        known["in_channels"] = known["input_shape"][3]
        if depth < 1 or known["in_channels"] % depth:
            raise ModelError(
                f"operator {i}: {known['in_channels']} input channels do not divide into groups of {depth}"
            )
        known["groups"] = known["in_channels"] // depth
        if known["out_channels"] % known["groups"]:
            raise ModelError(
                f"operator {i}: {known['out_channels']} outputs do not divide into {known['groups']} groups"
            )
        known["kernel"] = kernel
        known["stride"] = (int(options.strideH), int(options.strideW))
        known["dilation"] = (int(options.dilationHFactor), int(options.dilationWFactor))
        if min(*known["stride"], *known["dilation"]) < 1:
            raise ModelError(f"operator {i}: a stride or dilation below 1; the file is damaged")
        known["padding"] = "SAME" if options.padding == _SAME else "VALID"
        if kernel == (1, 1):
            known["kind"] = "conv1x1"
        if s == 0:
            known.update(_foldable_pad(model, i, known, producers, uses))
    else:
        if len(shape) != 2 or min(shape) < 1:
            raise ModelError(f"operator {i}: FULLY_CONNECTED with weights of shape {list(shape)}")
        known["out_channels"], known["in_channels"] = shape
        known["keep_num_dims"] = bool(options.keepNumDims)
        if options.weightsFormat:
            reason = "its weights are in a shuffled format"
    if s:
        reason = "in another subgraph than the main one"
    elif known["activation"] not in _ACTIVATIONS:
        reason = f"fused activation number {known['activation']} is not supported"
    elif any(
        graph.tensors[t].type != TensorType.FLOAT32 for t in (data, outputs[0])
    ):
        reason = "its input or output is not float32"
    elif _weights_source(model, graph, weights, producers) is None:
        reason = "its weights are computed, not constant"
    elif bias >= 0 and _weights_source(model, graph, bias, producers) is None:
        reason = "its bias is computed, not constant"
    return Layer(**known, ineligible=reason)


def _foldable_pad(
    model: Model,
    i: int,
    known: dict[str, Any],
    producers: dict[int, int],
    uses: dict[int, list[tuple[int, int]]],
) -> dict[str, Any]:
    """A zero PAD of height and width before a VALID convolution, read by nothing else."""
    graph = model.subgraph
    op = producers.get(known["input"])
    if op is None or known["padding"] != "VALID" or uses[known["input"]] != [(i, 0)]:
        return {}
    pad = graph.operators[op]
    if model.builtin(pad) != BuiltinOperator.PAD:
        return {}
    source, amounts = indices(pad.inputs)[:2]
    values = model.constant(amounts)
    if values is None or values.shape != (4, 2) or values[0].any() or values[3].any():
        return {}
    if (values < 0).any() or len(model.shape(source)) != 4:
        return {}
    top, bottom, left, right = (int(v) for v in values[1:3].ravel())
    return {
        "pad_op": op,
        "pads": (top, bottom, left, right),
        "input": source,
        "input_shape": model.shape(source),
    }


def _weights_source(model: Model, graph: Any, tensor: int, producers: dict[int, int]) -> int | None:
    """The constant behind a tensor: itself, or the float16 input of its DEQUANTIZE."""
    if model.data(graph.tensors[tensor]) is not None:
        return tensor if graph.tensors[tensor].type in (TensorType.FLOAT32, TensorType.FLOAT16) else None
    op = producers.get(tensor)
    if op is None or model.builtin(graph.operators[op]) != BuiltinOperator.DEQUANTIZE:
        return None
    source = indices(graph.operators[op].inputs)[0]
    if source < 0:
        return None
    if graph.tensors[source].type in _INTEGER:
        raise ModelError(
            f"weights {model.tensor_name(source, graph)!r} are integers: the model is quantized "
            "already; convert the float model that it came from"
        )
    constant = model.data(graph.tensors[source]) is not None
    return source if constant and graph.tensors[source].type == TensorType.FLOAT16 else None


def _constant(model: Model, tensor: int) -> FloatArray:
    graph = model.subgraph
    producers = {t: i for i, op in enumerate(graph.operators) for t in indices(op.outputs)}
    source = _weights_source(model, graph, tensor, producers)
    value = None if source is None else model.constant(source)
    if value is None:
        raise ModelError(f"tensor {model.tensor_name(tensor)!r} is not a constant")
    return value.astype(np.float32, copy=False)


def layer_weights(model: Model, layer: Layer) -> FloatArray:
    """Weights of a layer of the main subgraph, shape (C_out, kH, kW, C_in / groups).

    Raises
    ------
    ModelError
        If a weight is NaN or infinite.
    """
    weights = _constant(model, layer.weights).reshape(layer.weight_shape)
    if not np.isfinite(weights).all():
        raise ModelError(f"layer {layer.name!r} has weights that are NaN or infinite; train it anew")
    return weights


def layer_bias(model: Model, layer: Layer) -> FloatArray | None:
    """Bias of a layer of the main subgraph, shape (C_out,), or None."""
    if layer.bias is None:
        return None
    bias = _constant(model, layer.bias).reshape(-1)
    if bias.shape != (layer.out_channels,) or not np.isfinite(bias).all():
        raise ModelError(f"layer {layer.name!r} has a bias that does not fit or is not finite")
    return bias


_OP_NAMES = {
    "relu", "relu6", "biasadd", "bias_add", "conv2d", "convolution", "matmul", "add", "softmax",
    "tanh", "sigmoid", "readvariableop", "depthwise", "conv2d1", "weights_quant", "fakequantwithminmaxvars",
    "batchnorm", "batchnorm_fold", "fusedbatchnormv3", "mul", "relu1", "tensordot", "identity",
}  # fmt: skip


def _scopes(name: str) -> list[str]:
    """Name scopes without the trailing names of operations: 'net/conv1/Relu;…' to net, conv1."""
    parts = [p.split(":")[0] for p in name.split(";")[0].split("/") if p]
    while len(parts) > 1 and parts[-1].lower().rstrip("_0123456789") in _OP_NAMES:
        parts.pop()
    return parts or ["layer"]


def _named(model: Model, layers: list[Layer]) -> list[Layer]:
    """Give every layer the shortest end of its scope path that is unique."""
    paths = [
        _scopes(model.tensor_name(layer.output, model.schema.subgraphs[layer.subgraph]))
        for layer in layers
    ]
    taken: dict[str, int] = {}
    named = []
    for layer, path in zip(layers, paths, strict=True):
        length = 1
        while length < len(path) and sum(p[-length:] == path[-length:] for p in paths) > 1:
            length += 1
        name = "/".join(path[-length:])
        taken[name] = taken.get(name, 0) + 1
        named.append(replace(layer, name=name if taken[name] == 1 else f"{name}_{taken[name]}"))
    return named
