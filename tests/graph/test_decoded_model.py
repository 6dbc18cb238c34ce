"""A rewritten model stands for the float model with decoded weights; checked by running both.

Two ways to run it: `decoded_float_model` in the stock interpreter, and the native library. Both read
options and constants back from the file, so a wrong option, a code out of order or a lost bias shows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from graph_builders import (
    Graph,
    ModelBuilder,
    assert_close,
    random_constants,
    run,
    slow_decode,
    weights,
)

from qcnn_tflite.errors import ModelError, RuntimeMissingError
from qcnn_tflite.graph import decoded_float_model, find_layers, find_q_layers, read_model, rewrite
from qcnn_tflite.graph.ops import encode_options
from qcnn_tflite.runtime import Interpreter, library_path

Answer = Callable[[bytes, np.ndarray], np.ndarray]
Build = Callable[[Graph, int, np.ndarray, np.ndarray | None], int]


def decoded(data: bytes, x: np.ndarray) -> np.ndarray:
    return run(decoded_float_model(data), x)[0]


def native(data: bytes, x: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=data, kernel="reference")
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.fixture(params=[decoded, native])
def answer(request: pytest.FixtureRequest) -> Answer:
    """Runs a rewritten model of one input and one output."""
    if request.param is native:
        try:
            library_path()
        except RuntimeMissingError as error:
            pytest.skip(str(error))
    return request.param


def check(
    answer: Answer,
    build: Build,
    in_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    bias: bool,
    **options: Any,
) -> bytes:
    """Rewrite the graph's only layer and compare with `build` on the oracle's weights."""

    def make(w: np.ndarray, b: np.ndarray | None) -> bytes:
        builder = ModelBuilder()
        g = builder.graph()
        x = g.tensor("x", in_shape)
        g.ends([x], [build(g, x, w, b)])
        return builder.bytes()

    model = read_model(make(weights(weight_shape), weights(weight_shape[:1]) if bias else None))
    (layer,) = find_layers(model)
    q = random_constants(layer, **options)
    oracle = slow_decode(q, layer.in_channels, layer.groups).reshape(weight_shape)
    oracle_bias = q.bias
    if q.bias is None and layer.kind != "fc":  # the stock CONV_2D refuses to go without
        oracle_bias = np.zeros(layer.out_channels, np.float32)
    written = rewrite(model, {layer.name: q})
    x = weights(in_shape, 7)
    result = answer(written, x)
    assert_close(result, run(make(oracle, oracle_bias), x)[0])
    assert np.ptp(result) > 0.1
    return written


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("shape", "out", "kernel", "stride", "dilation", "padding", "groups", "activation", "d"),
    [
        ((9, 7, 6), 8, (3, 3), (1, 1), (1, 1), "SAME", 1, 0, 4),
        ((9, 7, 6), 8, (3, 3), (2, 1), (1, 1), "SAME", 1, 1, 4),
        ((10, 10, 6), 8, (3, 2), (2, 2), (1, 1), "VALID", 1, 2, 3),
        ((10, 10, 6), 8, (3, 2), (1, 1), (2, 3), "VALID", 1, 3, 2),
        ((10, 10, 6), 8, (2, 3), (1, 1), (2, 1), "SAME", 1, 0, 5),
        ((8, 8, 6), 8, (3, 3), (1, 1), (1, 1), "SAME", 2, 1, 2),
        ((8, 8, 6), 9, (3, 3), (2, 2), (1, 1), "VALID", 3, 0, 4),
        ((6, 6, 10), 8, (1, 1), (1, 1), (1, 1), "VALID", 1, 1, 3),
        ((6, 6, 10), 8, (1, 1), (2, 2), (1, 1), "SAME", 1, 0, 1),
        ((11, 11, 3), 8, (11, 11), (4, 4), (1, 1), "SAME", 1, 1, 8),
    ],
)
def test_convolutions(
    answer: Answer,
    batch: int,
    bias: bool,
    shape: tuple[int, ...],
    out: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: str,
    groups: int,
    activation: int,
    d: int,
) -> None:
    def size(n: int, i: int) -> int:
        reach = 0 if padding == "SAME" else (kernel[i] - 1) * dilation[i]
        return -(-(n - reach) // stride[i])

    def build(g: Graph, x: int, w: np.ndarray, b: np.ndarray | None) -> int:
        return g.conv(
            x,
            g.tensor("w", data=w),
            None if b is None else g.tensor("b", data=b),
            (batch, size(shape[0], 0), size(shape[1], 1), out),
            stride=stride,
            dilation=dilation,
            padding=padding,
            activation=activation,
        )

    filters = (out, *kernel, shape[2] // groups)
    check(answer, build, (batch, *shape), filters, bias, d=d, K=7, scale=bias)


@pytest.mark.parametrize("codebooks", ["per_subspace", "shared", "per_group"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_codebooks(answer: Answer, codebooks: str, dtype: str) -> None:
    def build(g: Graph, x: int, w: np.ndarray, b: np.ndarray | None) -> int:
        return g.conv(x, g.tensor("w", data=w), g.tensor("b", data=b), (1, 4, 4, 6))

    check(
        answer,
        build,
        (1, 6, 6, 10),
        (6, 3, 3, 5),
        True,
        d=2,
        K=9,
        codebooks=codebooks,
        dtype=dtype,
        scale=True,
    )


@pytest.mark.parametrize("K", [1, 2, 3, 5, 9, 17, 33, 65, 129, 256])
def test_every_width_of_codes(answer: Answer, K: int) -> None:
    def build(g: Graph, x: int, w: np.ndarray, b: np.ndarray | None) -> int:
        return g.fc(x, g.tensor("w", data=w), None, (2, 37))

    check(answer, build, (2, 10), (37, 10), False, d=4, K=K, scale=K == 1)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("shape", "out", "keep"),
    [
        ((1, 12), (1, 5), False),
        ((3, 12), (3, 5), False),
        ((2, 3, 2, 6), (6, 5), False),
        ((2, 2, 3, 4), (4, 5), False),
        ((2, 3, 12), (2, 3, 5), True),
        ((2, 12), (2, 5), True),
    ],
)
def test_fully_connected(
    answer: Answer,
    bias: bool,
    activation: int,
    shape: tuple[int, ...],
    out: tuple[int, ...],
    keep: bool,
) -> None:
    def build(g: Graph, x: int, w: np.ndarray, b: np.ndarray | None) -> int:
        constant = None if b is None else g.tensor("b", data=b)
        return g.fc(
            x, g.tensor("w", data=w), constant, out, keep_num_dims=keep, activation=activation
        )

    check(answer, build, shape, (5, 12), bias, d=5, K=6, scale=True)


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("pads", [(1, 1, 1, 1), (0, 3, 2, 0), (3, 3, 3, 3), (0, 0, 0, 0)])
def test_folded_pads(
    answer: Answer, pads: tuple[int, int, int, int], stride: tuple[int, int]
) -> None:
    top, bottom, left, right = pads

    def build(g: Graph, x: int, w: np.ndarray, b: np.ndarray | None) -> int:
        padded = g.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)])
        height = (8 + top + bottom - 3) // stride[0] + 1
        width = (7 + left + right - 3) // stride[1] + 1
        return g.conv(
            padded,
            g.tensor("w", data=w),
            g.tensor("b", data=b),
            (1, height, width, 6),
            stride=stride,
        )

    written = check(answer, build, (1, 8, 7, 4), (6, 3, 3, 4), True, d=3, K=5)
    assert len(read_model(written).subgraph.operators) == 1


def test_float16_weights(answer: Answer) -> None:
    def build(g: Graph, x: int, w: np.ndarray, b: np.ndarray | None) -> int:
        # The oracle's weights must not be rounded: only the converted model is float16.
        if b is not None and np.array_equal(b, weights((5,))):
            return g.fc(x, g.half("w", w), g.half("b", b), (2, 5))
        return g.fc(x, g.tensor("w", data=w), g.tensor("b", data=b), (2, 5))

    check(answer, build, (2, 12), (5, 12), True, d=4, K=6, scale=True, seed=3)


def test_an_input_with_several_readers() -> None:
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor("x", (1, 6, 6, 4))
    filters = weights((4, 3, 3, 4))
    y = g.conv(x, g.tensor("a/w", data=filters), None, (1, 6, 6, 4), "a", padding="SAME")
    z = g.tensor("z", (1, 6, 6, 4))
    options = schema.AddOptionsT()
    g.op(schema.BuiltinOperator.ADD, [x, y], [z], options)
    g.ends([x], [z, y])
    model = read_model(builder.bytes())
    (layer,) = find_layers(model)
    decoded = decoded_float_model(rewrite(model, {layer.name: random_constants(layer)}))
    value = weights((1, 6, 6, 4), 2)
    total, part = run(decoded, value)
    assert_close(total, value + part)


def _written() -> tuple[bytes, dict[str, int]]:
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor("x", (1, 6, 6, 4))
    w, b = g.tensor("conv/w", data=weights((6, 3, 3, 4))), g.tensor("b", data=weights((6,)))
    g.ends([x], [g.conv(x, w, b, (1, 4, 4, 6))])
    model = read_model(builder.bytes())
    (layer,) = find_layers(model)
    data = rewrite(model, {layer.name: random_constants(layer, d=2, K=5, scale=True)})
    return data, find_q_layers(read_model(data))[0].options


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bits": 4}, "5 codewords take 3 bits, the options say 4"),
        ({"bits": 0}, "bits from 1 to 8"),
        ({"bits": 9}, "bits from 1 to 8"),
        ({"activation": 4}, "activation 0 to 3"),
        ({"activation": -1}, "activation 0 to 3"),
        ({"in_channels": 0}, "in_channels from 1"),
        ({"in_channels": 8}, "expected 1, 4 or 4 codebooks, got 2"),
        ({"out_channels": 7}, "rows of"),
        ({"out_channels": 1 << 40}, "out_channels from 1"),
        ({"kernel_h": 0}, "kernel_h from 1"),
        ({"kernel_h": 1 << 19, "kernel_w": 1 << 19}, "rows of"),
        ({"stride_w": 0}, "stride_w from 1"),
        ({"dilation_h": -1}, "dilation_h from 1"),
        ({"groups": 0}, "groups from 1"),
        ({"dilation_w": (1 << 20) + 1}, "dilation_w from 1 to 1048576"),
        ({"groups": 3}, "divide into 3 groups"),
        ({"padding": 3}, "padding 0 to 2"),
        ({"padding": -1}, "padding 0 to 2"),
        ({"pad_left": 1}, "no pads but EXPLICIT ones"),
        ({"padding": 2, "pad_left": -1}, "pads from 0 to"),
        ({"padding": 2, "pad_top": 1 << 30}, "pads from 0 to"),
        ({"version": 2}, "reads version 1"),
    ],
)
def test_options_that_break_the_contract_are_refused(changes: dict[str, int], words: str) -> None:
    data, options = _written()
    model = read_model(data)
    broken = np.frombuffer(encode_options({**options, **changes}), np.uint8)
    model.subgraph.operators[0].customOptions = broken
    with pytest.raises(ModelError, match=words) as error:
        find_q_layers(model)
    assert "layer 'conv' (QConv)" in str(error.value)


CODEBOOKS, CODES, BIAS, SCALE = 1, 2, 3, 4


def _replace(slot: int, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Any], None]:
    def apply(model: Any) -> None:
        t = int(model.subgraph.operators[0].inputs[slot])
        value = change(model.constant(t).copy())
        tensor = model.subgraph.tensors[t]
        tensor.shape = np.array(value.shape, np.int32)
        model.schema.buffers[tensor.buffer].data = np.frombuffer(value.tobytes(), np.uint8)

    return apply


def _fill(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda a: np.full_like(a, value)


def _empty(slot: int) -> Callable[[Any], None]:
    def apply(model: Any) -> None:
        t = int(model.subgraph.operators[0].inputs[slot])
        model.subgraph.tensors[t].buffer = 0

    return apply


def _inputs(change: Callable[[list[int]], list[int]]) -> Callable[[Any], None]:
    def apply(model: Any) -> None:
        operator = model.subgraph.operators[0]
        operator.inputs = np.array(change([int(t) for t in operator.inputs]), np.int32)

    return apply


def _type(slot: int, number: int) -> Callable[[Any], None]:
    def apply(model: Any) -> None:
        model.subgraph.tensors[int(model.subgraph.operators[0].inputs[slot])].type = number

    return apply


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_replace(CODEBOOKS, lambda a: a[:, :4]), "4 codewords take 2 bits"),
        (_replace(CODEBOOKS, lambda a: a[0]), "codebooks of rank 3"),
        (_replace(CODEBOOKS, lambda a: np.repeat(a, 200, 1)), "1000 codewords"),
        (_replace(CODEBOOKS, _fill(np.inf)), "codeword is NaN or infinite"),
        (_replace(CODES, _fill(255)), "a bit behind the last code|code 7 of a codebook"),
        (_replace(CODES, lambda a: a[:1]), "expected 2 rows of codes, got 1"),
        (_replace(CODES, lambda a: a[:, :-1]), "rows of 21 bytes"),
        (_replace(BIAS, lambda a: a[:5]), "6 finite values of bias"),
        (_replace(BIAS, _fill(np.nan)), "6 finite values of bias"),
        (_replace(SCALE, _fill(np.inf)), "6 finite values of scale"),
        (_empty(CODEBOOKS), "codebooks are not a constant"),
        (_empty(CODES), "codes are not a constant"),
        (_empty(BIAS), "bias are not a constant"),
        (_type(CODES, schema.TensorType.INT8), "expected codes of rank 2, uint8"),
        (_type(CODEBOOKS, schema.TensorType.INT32), "expected codebooks of rank 3"),
        (_type(0, schema.TensorType.INT32), "expected a float32 input"),
        (_inputs(lambda t: t[:4]), "needs five inputs"),
        (_inputs(lambda t: [t[0], -1, *t[2:]]), "needs five inputs"),
        (_inputs(lambda t: [*t, t[4]]), "needs five inputs"),
    ],
)
def test_constants_that_break_the_contract_are_refused(
    change: Callable[[Any], None], words: str
) -> None:
    model = read_model(_written()[0])
    change(model)
    with pytest.raises(ModelError, match=words):
        find_q_layers(model)


def test_int8_codebooks_without_sound_scales_are_refused() -> None:
    model = read_model(_written()[0])
    t = int(model.subgraph.operators[0].inputs[CODEBOOKS])
    tensor = model.subgraph.tensors[t]
    books = np.ones(model.shape(t), np.int8)
    tensor.type = schema.TensorType.INT8
    model.schema.buffers[tensor.buffer].data = books.reshape(-1).view(np.uint8)
    quantization = schema.QuantizationParametersT()
    for scales, zeros, words in (
        (None, None, "2 positive scales"),
        ([1.0], None, "2 positive scales"),
        ([1.0, 0.0], None, "2 positive scales"),
        ([1.0, np.nan], None, "2 positive scales"),
        ([1.0, 1.0], [0, 1], "zero points of 0"),
    ):
        quantization.scale = None if scales is None else np.array(scales, np.float32)
        quantization.zeroPoint = None if zeros is None else np.array(zeros, np.int64)
        tensor.quantization = quantization
        with pytest.raises(ModelError, match=words):
            find_q_layers(model)
