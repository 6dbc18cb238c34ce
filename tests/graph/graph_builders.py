"""Small models, written with the schema's object API, and the oracles of the graph tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from qcnn_tflite.graph import Layer, QuantizedLayer

TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
}
OPS = schema.BuiltinOperator
OPTIONS = schema.BuiltinOptions


class Graph:
    """One subgraph; buffers and operator codes belong to its `ModelBuilder`."""

    def __init__(self, model: ModelBuilder, name: str) -> None:
        self.model = model
        self.subgraph = schema.SubGraphT()
        self.subgraph.tensors, self.subgraph.operators = [], []
        self.subgraph.name = name

    def tensor(
        self,
        name: str,
        shape: Sequence[int] | None = None,
        data: Any = None,
        dtype: str = "float32",
        variable: bool = False,
    ) -> int:
        """A tensor; a constant when `data` is an array, which then gives shape and type."""
        tensor = schema.TensorT()
        tensor.name = name
        tensor.isVariable = variable
        if data is not None:
            data = np.asarray(data)
            shape, dtype = data.shape, str(data.dtype)
            tensor.buffer = self.model.buffer(data)
        tensor.shape = np.array(shape, np.int32)
        tensor.type = TYPES[dtype]
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def op(
        self,
        builtin: int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Any = None,
        version: int = 1,
    ) -> int:
        operator = schema.OperatorT()
        operator.opcodeIndex = self.model.code(builtin, version)
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array(outputs, np.int32)
        if options is not None:
            operator.builtinOptions = options
            name = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(OPTIONS, name)
        self.subgraph.operators.append(operator)
        return len(self.subgraph.operators) - 1

    def conv(
        self,
        x: int,
        weights: int,
        bias: int | None,
        out_shape: Sequence[int],
        name: str = "conv",
        *,
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        padding: str = "VALID",
        activation: int = 0,
    ) -> int:
        options = schema.Conv2DOptionsT()
        options.padding = {"SAME": 0, "VALID": 1}[padding]
        options.strideH, options.strideW = stride
        options.dilationHFactor, options.dilationWFactor = dilation
        options.fusedActivationFunction = activation
        y = self.tensor(name, out_shape)
        self.op(OPS.CONV_2D, [x, weights] + ([] if bias is None else [bias]), [y], options, 2)
        return y

    def fc(
        self,
        x: int,
        weights: int,
        bias: int | None,
        out_shape: Sequence[int],
        name: str = "fc",
        *,
        keep_num_dims: bool = False,
        activation: int = 0,
    ) -> int:
        options = schema.FullyConnectedOptionsT()
        options.keepNumDims = keep_num_dims
        options.fusedActivationFunction = activation
        y = self.tensor(name, out_shape)
        self.op(OPS.FULLY_CONNECTED, [x, weights, -1 if bias is None else bias], [y], options, 6)
        return y

    def pad(
        self, x: int, amounts: Sequence[Sequence[int]], dtype: str = "int32", name: str = "pad"
    ) -> int:
        amounts = np.array(amounts, dtype)
        shape = np.array(self.subgraph.tensors[x].shape) + amounts.sum(axis=1)
        constant = self.tensor(f"{name}/paddings", data=amounts)
        y = self.tensor(name, shape)
        self.op(OPS.PAD, [x, constant], [y], schema.PadOptionsT())
        return y

    def half(self, name: str, values: Any) -> int:
        """float16 weights behind a DEQUANTIZE, as the float16 converter writes them."""
        source = self.tensor(f"{name}_f16", data=np.asarray(values, np.float16))
        y = self.tensor(name, np.shape(values))
        self.op(OPS.DEQUANTIZE, [source], [y], schema.DequantizeOptionsT(), 3)
        return y

    def ends(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        self.subgraph.inputs = np.array(inputs, np.int32)
        self.subgraph.outputs = np.array(outputs, np.int32)


class ModelBuilder:
    """Builds a `.tflite`. The first graph is the main one."""

    def __init__(self) -> None:
        self.schema = schema.ModelT()
        self.schema.version = 3
        self.schema.description = "made by a test"
        self.schema.buffers = [schema.BufferT()]
        self.schema.operatorCodes, self.schema.subgraphs = [], []

    def graph(self, name: str = "main") -> Graph:
        graph = Graph(self, name)
        self.schema.subgraphs.append(graph.subgraph)
        return graph

    def buffer(self, data: Any) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        self.schema.buffers.append(buffer)
        return len(self.schema.buffers) - 1

    def code(self, builtin: int, version: int) -> int:
        for i, code in enumerate(self.schema.operatorCodes):
            if code.builtinCode == builtin and code.version == version:
                return i
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = (
            builtin,
            min(builtin, 127),
            version,
        )
        self.schema.operatorCodes.append(code)
        return len(self.schema.operatorCodes) - 1

    def metadata(self, name: str, data: bytes) -> None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, self.buffer(np.frombuffer(data, np.uint8))
        self.schema.metadata = [*(self.schema.metadata or []), entry]

    def signature(
        self, key: str, inputs: dict[str, int], outputs: dict[str, int], graph: int = 0
    ) -> None:
        def entries(named: dict[str, int]) -> list[Any]:
            maps = []
            for name, index in named.items():
                entry = schema.TensorMapT()
                entry.name, entry.tensorIndex = name, index
                maps.append(entry)
            return maps

        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = key, graph
        signature.inputs, signature.outputs = entries(inputs), entries(outputs)
        self.schema.signatureDefs = [*(self.schema.signatureDefs or []), signature]

    def bytes(self) -> bytes:
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.schema.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def weights(shape: Sequence[int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def random_constants(
    layer: Layer,
    *,
    d: int = 4,
    K: int = 16,
    codebooks: str = "per_subspace",
    dtype: str = "float32",
    scale: bool = False,
    bias: bool | None = None,
    seed: int = 0,
) -> QuantizedLayer:
    """Random codebooks and codes of the right shapes for a layer."""
    rng = np.random.default_rng(seed)
    M = -(-(layer.in_channels // layer.groups) // d)
    m = {"shared": 1, "per_subspace": M, "per_group": M * layer.groups}[codebooks]
    books = rng.standard_normal((m, K, d)).astype(np.float32)
    scales = None
    if dtype == "int8":
        books = rng.integers(-127, 128, (m, K, d)).astype(np.int8)
        scales = rng.uniform(0.01, 0.02, m).astype(np.float32)
    if dtype == "float16":
        books = books.astype(np.float16)
    with_bias = layer.bias is not None if bias is None else bias
    return QuantizedLayer(
        books,
        rng.integers(0, K, (M, layer.out_channels, *layer.kernel)).astype(np.uint8),
        rng.standard_normal(layer.out_channels).astype(np.float32) if with_bias else None,
        rng.uniform(0.5, 2, layer.out_channels).astype(np.float32) if scale else None,
        scales,
    )


def slow_decode(q: QuantizedLayer, in_channels: int, groups: int) -> np.ndarray:
    """Weights times scale, one number at a time, straight from the op contract's text."""
    depth = in_channels // groups
    M, outputs, rows, columns = q.codes.shape
    out = np.zeros((outputs, rows, columns, depth), np.float32)
    for c, i, j, x in np.ndindex(*out.shape):
        subspace, entry = divmod(x, q.d)
        group = c // (outputs // groups)
        book = {1: 0, M: subspace}.get(len(q.codebooks), group * M + subspace)
        value = np.float32(q.codebooks[book, q.codes[subspace, c, i, j], entry])
        if q.codebook_scales is not None:
            value *= q.codebook_scales[book]
        out[c, i, j, x] = value * (1 if q.scale is None else q.scale[c])
    return out


def run(model: bytes, *inputs: np.ndarray) -> list[np.ndarray]:
    """Outputs of a model without custom ops; inputs are resized to what is given."""
    interpreter = Interpreter(model_content=model)
    details = interpreter.get_input_details()
    for detail, value in zip(details, inputs, strict=True):
        if tuple(detail["shape"]) != value.shape:
            interpreter.resize_tensor_input(detail["index"], value.shape)
    interpreter.allocate_tensors()
    for detail, value in zip(details, inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


def assert_close(actual: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for the order of summation."""
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 1e-5 * max(1e-30, np.abs(expected).max())
