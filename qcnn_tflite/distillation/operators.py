"""TensorFlow Lite's float operators in terms of TensorFlow's differentiable ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ModelError
from ..graph.schema import BuiltinOperator
from .tensorflow import tensorflow


@dataclass(frozen=True)
class Node:
    """One operator of a graph, and what its translation needs to know of it.

    Parameters
    ----------
    name : str
        Of its first output, for messages.
    options : object
        The schema's options table, or None.
    constants : tuple of (ndarray or None)
        The value of each input that is a constant.
    output_shape : tuple of int
        Static shape of the first output, for the graph's own batch.
    native_batch : int
        The graph's own batch.
    """

    name: str
    options: Any
    constants: tuple[np.ndarray[Any, Any] | None, ...]
    output_shape: tuple[int, ...]
    native_batch: int


# Translations take the node and its inputs (None for an absent one) and return the first output.
Translation = Callable[[Node, list[Any]], Any]

_SAME = 0
_FUSED = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH")


def activate(number: int, x: Any) -> Any:
    """Apply a fused activation by TFLite's number."""
    tf = tensorflow()
    if number == 0:
        return x
    if number == 1:
        return tf.nn.relu(x)
    if number == 2:
        return tf.clip_by_value(x, -1.0, 1.0)
    if number == 3:
        return tf.nn.relu6(x)
    return tf.math.tanh(x)


def _fused(node: Node, x: Any) -> Any:
    number = int(getattr(node.options, "fusedActivationFunction", 0) or 0)
    if number >= len(_FUSED):
        raise ModelError(
            f"distillation does not know the fused activation number {number} of {node.name!r}; "
            "convert without distill"
        )
    return activate(number, x)


def _padding(options: Any) -> str:
    return "SAME" if options.padding == _SAME else "VALID"


def _constant(node: Node, slot: int, what: str) -> np.ndarray[Any, Any]:
    value = node.constants[slot] if slot < len(node.constants) else None
    if value is None:
        raise ModelError(
            f"distillation needs the {what} of {node.name!r} to be constant; convert without distill"
        )
    return value


def _conv(node: Node, inputs: list[Any]) -> Any:
    tf = tensorflow()
    x, weights, *rest = inputs
    o = node.options
    # OHWI to HWIO.
    filters = tf.transpose(weights, (1, 2, 3, 0))
    groups = int(x.shape[-1]) // int(filters.shape[2])

    def run(part: Any, kernel: Any) -> Any:
        return tf.nn.conv2d(
            part,
            kernel,
            strides=(int(o.strideH), int(o.strideW)),
            padding=_padding(o),
            dilations=(int(o.dilationHFactor), int(o.dilationWFactor)),
        )

    if groups == 1:
        y = run(x, filters)
    else:  # on a CPU TensorFlow has no gradient of a grouped convolution
        parts = zip(tf.split(x, groups, axis=-1), tf.split(filters, groups, axis=-1), strict=True)
        y = tf.concat([run(part, kernel) for part, kernel in parts], axis=-1)
    return _fused(node, _biased(y, rest))


def _biased(y: Any, rest: list[Any]) -> Any:
    return y if not rest or rest[0] is None else y + tensorflow().reshape(rest[0], (-1,))


def _depthwise(node: Node, inputs: list[Any]) -> Any:
    tf = tensorflow()
    x, weights, *rest = inputs
    o = node.options
    strides, dilations = (
        (int(o.strideH), int(o.strideW)),
        (
            int(o.dilationHFactor),
            int(o.dilationWFactor),
        ),
    )
    if strides[0] != strides[1] or (max(dilations) > 1 and max(strides) > 1):
        raise ModelError(
            f"distillation does not know a depthwise convolution of strides {strides} and dilations "
            f"{dilations} ({node.name!r}); convert without distill"
        )
    height, width, channels = (int(n) for n in weights.shape[1:])
    depth = int(x.shape[-1])
    filters = tf.reshape(weights, (height, width, depth, channels // depth))
    y = tf.nn.depthwise_conv2d(
        x,
        filters,
        (1, *strides, 1),
        _padding(o),
        dilations=None if max(dilations) == 1 else dilations,
    )
    return _fused(node, _biased(y, rest))


def _fully_connected(node: Node, inputs: list[Any]) -> Any:
    tf = tensorflow()
    x, weights, *rest = inputs
    keep = bool(node.options.keepNumDims)
    y = tf.matmul(tf.reshape(x, (-1, int(weights.shape[1]))), weights, transpose_b=True)
    y = _fused(node, _biased(y, rest))
    return _to_static(node, y) if keep else y


def _to_static(node: Node, x: Any) -> Any:
    """Reshape to the output's static shape, whose leading axis may be the batch."""
    tf = tensorflow()
    shape = node.output_shape
    if shape and shape[0] == node.native_batch:
        rows = tf.shape(x)[0] if x.shape.rank and x.shape[0] is None else x.shape[0]
        size = int(np.prod(shape[1:]))
        known = int(np.prod([int(n) for n in x.shape[1:]]))
        return tf.reshape(x, (rows if size == known else -1, *shape[1:]))
    if node.native_batch == 1 and shape:
        raise ModelError(
            f"distillation does not know a reshape across images ({node.name!r}, to "
            f"{list(shape)}); convert without distill"
        )
    return tf.reshape(x, (-1, *shape[1:]))


def _reshape(node: Node, inputs: list[Any]) -> Any:
    return _to_static(node, inputs[0])


def _pool(kind: str) -> Translation:
    def translate(node: Node, inputs: list[Any]) -> Any:
        tf, o = tensorflow(), node.options
        # avg_pool leaves padding out of the mean, as TFLite does.
        run = tf.nn.max_pool2d if kind == "max" else tf.nn.avg_pool2d
        size = (int(o.filterHeight), int(o.filterWidth))
        y = run(inputs[0], size, (int(o.strideH), int(o.strideW)), _padding(o))
        return _fused(node, y)

    return translate


def _mean(node: Node, inputs: list[Any]) -> Any:
    axes = _constant(node, 1, "axes").reshape(-1).tolist()
    return tensorflow().reduce_mean(inputs[0], axes, keepdims=bool(node.options.keepDims))


def _binary(name: str) -> Translation:
    def translate(node: Node, inputs: list[Any]) -> Any:
        return _fused(node, getattr(tensorflow().math, name)(inputs[0], inputs[1]))

    return translate


def _unary(function: Callable[[Any, Any], Any]) -> Translation:
    return lambda node, inputs: function(tensorflow(), inputs[0])


def _pad(node: Node, inputs: list[Any]) -> Any:
    amounts = _constant(node, 1, "amounts").astype(np.int64)
    value = 0.0
    if len(inputs) > 2 and inputs[2] is not None:
        value = float(np.asarray(_constant(node, 2, "value")).reshape(-1)[0])
    return tensorflow().pad(inputs[0], amounts, constant_values=value)


def _softmax(node: Node, inputs: list[Any]) -> Any:
    return tensorflow().nn.softmax(inputs[0] * float(node.options.beta))


def _concatenation(node: Node, inputs: list[Any]) -> Any:
    return _fused(node, tensorflow().concat(inputs, axis=int(node.options.axis)))


def _lrn(node: Node, inputs: list[Any]) -> Any:
    o = node.options
    return tensorflow().nn.local_response_normalization(
        inputs[0],
        depth_radius=int(o.radius),
        bias=float(o.bias),
        alpha=float(o.alpha),
        beta=float(o.beta),
    )


def _transpose(node: Node, inputs: list[Any]) -> Any:
    return tensorflow().transpose(inputs[0], _constant(node, 1, "permutation").tolist())


def _leaky_relu(node: Node, inputs: list[Any]) -> Any:
    return tensorflow().nn.leaky_relu(inputs[0], float(node.options.alpha))


def _prelu(node: Node, inputs: list[Any]) -> Any:
    tf = tensorflow()
    return tf.maximum(inputs[0], 0.0) + inputs[1] * tf.minimum(inputs[0], 0.0)


_O = BuiltinOperator
TRANSLATIONS: dict[int, Translation] = {
    _O.CONV_2D: _conv,
    _O.DEPTHWISE_CONV_2D: _depthwise,
    _O.FULLY_CONNECTED: _fully_connected,
    _O.MAX_POOL_2D: _pool("max"),
    _O.AVERAGE_POOL_2D: _pool("average"),
    _O.MEAN: _mean,
    _O.ADD: _binary("add"),
    _O.SUB: _binary("subtract"),
    _O.MUL: _binary("multiply"),
    _O.DIV: _binary("divide"),
    _O.MAXIMUM: _binary("maximum"),
    _O.MINIMUM: _binary("minimum"),
    _O.PAD: _pad,
    _O.PADV2: _pad,
    _O.RESHAPE: _reshape,
    _O.SQUEEZE: _reshape,
    _O.EXPAND_DIMS: _reshape,
    _O.SOFTMAX: _softmax,
    _O.LOGISTIC: _unary(lambda tf, x: tf.math.sigmoid(x)),
    _O.TANH: _unary(lambda tf, x: tf.math.tanh(x)),
    _O.RELU: _unary(lambda tf, x: tf.nn.relu(x)),
    _O.RELU6: _unary(lambda tf, x: tf.nn.relu6(x)),
    _O.RELU_N1_TO_1: _unary(lambda tf, x: tf.clip_by_value(x, -1.0, 1.0)),
    _O.HARD_SWISH: _unary(lambda tf, x: x * tf.nn.relu6(x + 3.0) / 6.0),
    _O.LEAKY_RELU: _leaky_relu,
    _O.PRELU: _prelu,
    _O.CONCATENATION: _concatenation,
    _O.LOCAL_RESPONSE_NORMALIZATION: _lrn,
    _O.TRANSPOSE: _transpose,
    # Of float16 constants, which arrive here as float32; a cast copies what it is given.
    _O.DEQUANTIZE: _unary(lambda tf, x: tf.cast(x, tf.float32)),
}
_NAMES = {v: k for k, v in vars(BuiltinOperator).items() if isinstance(v, int)}


def operator_name(number: int) -> str:
    """TFLite's name of a builtin operator, e.g. ``CONV_2D``."""
    return _NAMES.get(number, f"number {number}")
