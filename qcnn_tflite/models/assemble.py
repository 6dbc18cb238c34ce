"""Writes a named network as a float `.tflite`, without TensorFlow.

Going through Keras and the TensorFlow converter gives the same operators, but takes 6.2 GB and half a
minute for VGG-16, and prefixes every name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..graph.edit import add_buffer, add_tensor, constant_tensor, new_operator, operator_code
from ..graph.metadata import write_metadata
from ..graph.model import Model
from ..graph.schema import (
    BufferT,
    BuiltinOperator,
    BuiltinOptions,
    MetadataT,
    ModelT,
    SubGraphT,
    TensorT,
    TensorType,
    schema,
)
from .networks import SAME, Add, Conv, Dense, Depthwise, GlobalPool, Network, Norm, Pool
from .weights import WeightArrays

_SAME, _VALID = schema.Padding.SAME, schema.Padding.VALID
_ACTIVATIONS = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
# CONV_2D knows groups from this version on.
_GROUPED_CONV_VERSION = 6
_MIN_RUNTIME = b"2.9.0".ljust(16, b"\0")


def assemble(
    network: Network, weights: WeightArrays, *, name: str, metadata: dict[str, Any] | None = None
) -> bytes:
    """The float `.tflite` of a network: batch 1, which can be resized; layers named as in `network`.

    Parameters
    ----------
    network : Network
    weights : WeightArrays
        Kernels HWIO or (in, out), of the shapes that `network.weight_shapes` says.
    name : str
    metadata : dict, optional
        For the entry ``qcnn_tflite`` of the model's metadata.

    Returns
    -------
    bytes
    """
    graph = _Graph(name, network.input_shape)
    flat = False
    for step, _, shape in network.trace():
        if isinstance(step, Conv):
            graph.convolution(step, shape, *weights.take(step.name))
        elif isinstance(step, Depthwise):
            graph.depthwise(step, shape, *weights.take(step.name))
        elif isinstance(step, Add):
            graph.add(step)
        elif isinstance(step, GlobalPool):
            graph.global_pool()
            flat = True
        elif isinstance(step, Norm):
            graph.normalization(step)
        elif isinstance(step, Pool):
            graph.max_pool(step, shape)
        elif isinstance(step, Dense):
            if not flat:
                graph.flatten(network.flatten)
                flat = True
            activation = "none" if step.name == network.last else "relu"
            graph.fully_connected(step.name, *weights.take(step.name), activation)
    graph.softmax()
    return graph.finish(metadata)


class _Graph:
    """Operators one after another; `at` is the last one's tensor and `shape` that tensor's shape."""

    def __init__(self, name: str, input_shape: tuple[int, int, int]) -> None:
        main = SubGraphT()
        main.name = b"main"
        main.tensors, main.operators = [], []
        top = ModelT()
        top.version = 3
        top.description = name.encode()
        top.operatorCodes, top.subgraphs, top.buffers = [], [main], [BufferT()]
        self.model = Model(top, [])
        self.shape: tuple[int, ...] = (1, *input_shape)
        self.at = self._variable("image", self.shape)
        main.inputs = np.array([self.at], np.int32)
        self._named: dict[str, tuple[int, tuple[int, ...]]] = {}
        self._pools = self._norms = 0

    def convolution(
        self,
        step: Conv,
        shape: tuple[int, ...],
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32],
    ) -> None:
        if step.input:
            self.at, self.shape = self._named[step.input]
        same = step.pad == SAME or (step.stride == 1 and step.kernel == 2 * step.pad + 1)
        if step.pad and not same:
            self._pad(f"{step.name}/pad", step.pad, step.pad)
        options = schema.Conv2DOptionsT()
        options.padding = _SAME if same else _VALID
        options.strideH = options.strideW = step.stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = _ACTIVATIONS[step.activation]
        constants = self._weights(step.name, kernel.transpose(3, 0, 1, 2), bias)
        version = _GROUPED_CONV_VERSION if step.groups > 1 else 1
        self._append("CONV_2D", constants, options, step.name, (1, *shape), version)
        self._named[step.name] = self.at, self.shape

    def depthwise(
        self,
        step: Depthwise,
        shape: tuple[int, ...],
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32],
    ) -> None:
        options = schema.DepthwiseConv2DOptionsT()
        options.padding = _SAME
        options.strideH = options.strideW = step.stride
        options.dilationHFactor = options.dilationWFactor = options.depthMultiplier = 1
        options.fusedActivationFunction = _ACTIVATIONS["relu6"]
        constants = self._weights(step.name, kernel.transpose(3, 0, 1, 2), bias)
        self._append("DEPTHWISE_CONV_2D", constants, options, step.name, (1, *shape))

    def add(self, step: Add) -> None:
        options = schema.AddOptionsT()
        options.fusedActivationFunction = _ACTIVATIONS[step.activation]
        self._append("ADD", [self._named[step.other][0]], options, step.name, self.shape)
        self._named[step.name] = self.at, self.shape

    def global_pool(self) -> None:
        options = schema.ReducerOptionsT()
        options.keepDims = False
        axes = self._constant("average/axes", np.array([1, 2], np.int32))
        self._append("MEAN", [axes], options, "average", (1, self.shape[3]))

    def normalization(self, step: Norm) -> None:
        options = schema.LocalResponseNormalizationOptionsT()
        options.radius = step.size // 2
        # TensorFlow Lite multiplies the sum by alpha; Caffe's is divided by n.
        options.bias, options.alpha, options.beta = step.k, step.alpha / step.size, step.beta
        self._norms += 1
        name = f"norm{self._norms}"
        self._append("LOCAL_RESPONSE_NORMALIZATION", [], options, name, self.shape)

    def max_pool(self, step: Pool, shape: tuple[int, ...]) -> None:
        self._pools += 1
        name = f"pool{self._pools}"
        size, count = self.shape[1], shape[0]
        missing = max(0, (count - 1) * step.stride + step.size - size - step.pad)
        # SAME puts half of the missing rows before the image, the first window must begin at row 0.
        same = not step.pad and missing == 1 and -(-size // step.stride) == count
        if (step.pad or missing) and not same:
            # Zeros are as good as -inf here: what is pooled has passed a ReLU.
            self._pad(f"{name}/pad", step.pad, missing)
        options = schema.Pool2DOptionsT()
        options.padding = _SAME if same else _VALID
        options.strideH = options.strideW = step.stride
        options.filterHeight = options.filterWidth = step.size
        options.fusedActivationFunction = _ACTIVATIONS["none"]
        self._append("MAX_POOL_2D", [], options, name, (1, *shape))
        self._named[name] = self.at, self.shape

    def flatten(self, order: str) -> None:
        if order == "CHW":
            axes = self._constant("flatten/axes", np.array([0, 3, 1, 2], np.int32))
            shape = tuple(self.shape[i] for i in (0, 3, 1, 2))
            self._append("TRANSPOSE", [axes], schema.TransposeOptionsT(), "channels_first", shape)
        features = int(np.prod(self.shape[1:]))
        # -1 leaves the batch free.
        target = np.array([-1, features], np.int32)
        options = schema.ReshapeOptionsT()
        options.newShape = target
        self._append(
            "RESHAPE", [self._constant("flatten/shape", target)], options, "flatten", (1, features)
        )

    def fully_connected(
        self, name: str, kernel: NDArray[np.float32], bias: NDArray[np.float32], activation: str
    ) -> None:
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = _ACTIVATIONS[activation]
        constants = self._weights(name, kernel.T, bias)
        self._append("FULLY_CONNECTED", constants, options, name, (1, kernel.shape[1]))

    def softmax(self) -> None:
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        self._append("SOFTMAX", [], options, "prob", self.shape)

    def finish(self, metadata: dict[str, Any] | None) -> bytes:
        main = self.model.subgraph
        main.outputs = np.array([self.at], np.int32)
        signature = schema.SignatureDefT()
        signature.signatureKey = b"serving_default"
        signature.subgraphIndex = 0
        signature.inputs = [_named(b"image", int(main.inputs[0]))]
        signature.outputs = [_named(b"prob", self.at)]
        self.model.schema.signatureDefs = [signature]
        entry = MetadataT()
        entry.name, entry.buffer = b"min_runtime_version", add_buffer(self.model, _MIN_RUNTIME)
        self.model.schema.metadata = [entry]
        write_metadata(self.model, metadata, None)
        return self.model.to_bytes()

    def _pad(self, name: str, before: int, after: int) -> None:
        amounts = np.array([[0, 0], [before, after], [before, after], [0, 0]], np.int32)
        shape = (1, *(n + before + after for n in self.shape[1:3]), self.shape[3])
        constant = self._constant(f"{name}/amounts", amounts)
        self._append("PAD", [constant], schema.PadOptionsT(), name, shape)

    def _append(
        self,
        builtin: str,
        constants: list[int],
        options: Any,
        name: str,
        shape: tuple[int, ...],
        version: int = 1,
    ) -> None:
        output = self._variable(name, shape)
        code = operator_code(self.model, getattr(BuiltinOperator, builtin), version=version)
        operator = new_operator(code, [self.at, *constants], [output])
        kind = type(options).__name__.removesuffix("T")
        operator.builtinOptionsType = getattr(BuiltinOptions, kind)
        operator.builtinOptions = options
        self.model.subgraph.operators.append(operator)
        self.at, self.shape = output, shape

    def _weights(
        self, name: str, kernel: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> list[int]:
        return [self._constant(f"{name}/kernel", kernel), self._constant(f"{name}/bias", bias)]

    def _constant(self, name: str, values: NDArray[Any]) -> int:
        return add_tensor(self.model, constant_tensor(self.model, name, values))

    def _variable(self, name: str, shape: tuple[int, ...]) -> int:
        tensor = TensorT()
        tensor.name = name.encode()
        tensor.type = TensorType.FLOAT32
        tensor.shape = np.array(shape, np.int32)
        tensor.shapeSignature = np.array((-1, *shape[1:]), np.int32)
        tensor.buffer = 0
        tensor.hasRank = True
        return add_tensor(self.model, tensor)


def _named(name: bytes, tensor: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, tensor
    return entry
