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
from .networks import Conv, Dense, Network, Norm, Pool, pooled_size
from .weights import WeightArrays

_SAME, _VALID = schema.Padding.SAME, schema.Padding.VALID
_NONE, _RELU = schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU
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
    for step in network.layers:
        if isinstance(step, Conv):
            graph.convolution(step, *weights.take(step.name))
        elif isinstance(step, Norm):
            graph.normalization(step)
        elif isinstance(step, Pool):
            graph.max_pool(step)
        elif isinstance(step, Dense):
            if not flat:
                graph.flatten()
                flat = True
            relu = step.name != network.last
            graph.fully_connected(step.name, *weights.take(step.name), relu=relu)
    graph.softmax()
    return graph.finish(metadata)


class _Graph:
    """A chain of operators; `at` is the tensor at its end and `shape` that tensor's shape."""

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
        self._pools = self._norms = 0

    def convolution(
        self, step: Conv, kernel: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> None:
        same = step.stride == 1 and step.kernel == 2 * step.pad + 1
        if step.pad and not same:
            self._pad(f"{step.name}/pad", step.pad, step.pad)
        options = schema.Conv2DOptionsT()
        options.padding = _SAME if same else _VALID
        options.strideH = options.strideW = step.stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = _RELU
        sides = self.shape[1:3] if same else [
            (n - step.kernel) // step.stride + 1 for n in self.shape[1:3]
        ]  # fmt: skip
        constants = [
            self._constant(f"{step.name}/kernel", kernel.transpose(3, 0, 1, 2)),
            self._constant(f"{step.name}/bias", bias),
        ]
        version = _GROUPED_CONV_VERSION if step.groups > 1 else 1
        self._append("CONV_2D", constants, options, step.name, (1, *sides, step.filters), version)

    def normalization(self, step: Norm) -> None:
        options = schema.LocalResponseNormalizationOptionsT()
        options.radius = step.size // 2
        # TensorFlow Lite multiplies the sum by alpha; Caffe's is divided by n.
        options.bias, options.alpha, options.beta = step.k, step.alpha / step.size, step.beta
        self._norms += 1
        name = f"norm{self._norms}"
        self._append("LOCAL_RESPONSE_NORMALIZATION", [], options, name, self.shape)

    def max_pool(self, step: Pool) -> None:
        self._pools += 1
        name = f"pool{self._pools}"
        size = self.shape[1]
        count = pooled_size(size, step)
        missing = max(0, (count - 1) * step.stride + step.size - size)
        # SAME puts half of the missing rows before the image, the first window must begin at row 0.
        same = missing == 1 and -(-size // step.stride) == count
        if missing and not same:
            # Zeros are as good as -inf here: what is pooled has passed a ReLU.
            self._pad(f"{name}/pad", 0, missing)
        options = schema.Pool2DOptionsT()
        options.padding = _SAME if same else _VALID
        options.strideH = options.strideW = step.stride
        options.filterHeight = options.filterWidth = step.size
        options.fusedActivationFunction = _NONE
        self._append("MAX_POOL_2D", [], options, name, (1, count, count, self.shape[3]))

    def flatten(self) -> None:
        features = int(np.prod(self.shape[1:]))
        # -1 leaves the batch free.
        shape = np.array([-1, features], np.int32)
        options = schema.ReshapeOptionsT()
        options.newShape = shape
        self._append(
            "RESHAPE", [self._constant("flatten/shape", shape)], options, "flatten", (1, features)
        )

    def fully_connected(
        self, name: str, kernel: NDArray[np.float32], bias: NDArray[np.float32], *, relu: bool
    ) -> None:
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = _RELU if relu else _NONE
        constants = [
            self._constant(f"{name}/kernel", kernel.T),
            self._constant(f"{name}/bias", bias),
        ]
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
