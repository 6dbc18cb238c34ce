"""Which layers are found, what is read of them, and why some stay float."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from graph_builders import OPS, Graph, ModelBuilder, weights

from qcnn_tflite import convert, inspect
from qcnn_tflite.errors import ModelError
from qcnn_tflite.graph import (
    Layer,
    check_convertible,
    find_layers,
    layer_bias,
    layer_weights,
    read_model,
)


def only(
    build: Callable[[Graph, int], int], shape: tuple[int, ...] = (1, 8, 8, 4)
) -> tuple[Any, Layer]:
    """The model and the only layer of a graph that `build` makes."""
    builder = ModelBuilder()
    main = builder.graph()
    x = main.tensor("x", shape)
    main.ends([x], [build(main, x)])
    model = read_model(builder.bytes())
    (layer,) = find_layers(model)
    return model, layer


def test_a_convolution_is_read() -> None:
    w, b = weights((6, 3, 2, 2)), weights((6,))

    def build(g: Graph, x: int) -> int:
        return g.conv(
            x,
            g.tensor("net/conv1/weights", data=w),
            g.tensor("b", data=b),
            (1, 3, 7, 6),
            stride=(2, 1),
            dilation=(1, 2),
            padding="SAME",
            activation=3,
        )

    model, layer = only(build)
    assert (layer.name, layer.kind, layer.ineligible) == ("conv1", "conv", None)
    assert (layer.in_channels, layer.groups, layer.out_channels) == (4, 2, 6)
    assert (layer.kernel, layer.stride, layer.dilation) == ((3, 2), (2, 1), (1, 2))
    assert (layer.padding, layer.activation, layer.pad_op) == ("SAME", 3, None)
    assert (layer.input_shape, layer.output_shape) == ((1, 8, 8, 4), (1, 3, 7, 6))
    assert layer.weight_shape == w.shape and layer.float_bytes == 4 * (w.size + 6)
    assert layer.positions == 21
    np.testing.assert_array_equal(layer_weights(model, layer), w)
    np.testing.assert_array_equal(layer_bias(model, layer), b)


def test_a_fully_connected_layer_is_read() -> None:
    w = weights((6, 4))
    model, layer = only(
        lambda g, x: g.fc(x, g.tensor("w", data=w), None, (1, 8, 8, 6), keep_num_dims=True)
    )
    assert (layer.kind, layer.keep_num_dims, layer.bias, layer.ineligible) == (
        "fc",
        True,
        None,
        None,
    )
    assert layer.positions == 64
    np.testing.assert_array_equal(layer_weights(model, layer), w.reshape(6, 1, 1, 4))
    assert layer_bias(model, layer) is None


def test_a_1x1_convolution_has_a_kind_of_its_own() -> None:
    _, layer = only(
        lambda g, x: g.conv(x, g.tensor("w", data=weights((6, 1, 1, 4))), None, (1, 8, 8, 6))
    )
    assert layer.kind == "conv1x1"


def test_float16_weights_behind_dequantize() -> None:
    w, b = weights((6, 4)).astype(np.float16), weights((6,)).astype(np.float16)
    model, layer = only(lambda g, x: g.fc(x, g.half("w", w), g.half("b", b), (64, 6)))
    assert layer.ineligible is None
    found = layer_weights(model, layer)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.reshape(6, 4), w.astype(np.float32))
    np.testing.assert_array_equal(layer_bias(model, layer), b.astype(np.float32))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_a_zero_pad_belongs_to_the_convolution(dtype: str) -> None:
    def build(g: Graph, x: int) -> int:
        padded = g.pad(x, [(0, 0), (1, 2), (3, 0), (0, 0)], dtype)
        return g.conv(padded, g.tensor("w", data=weights((6, 3, 3, 4))), None, (1, 9, 9, 6))

    _, layer = only(build)
    assert (layer.pad_op, layer.pads, layer.input_shape) == (0, (1, 2, 3, 0), (1, 8, 8, 4))
    assert layer.input == 0


def _pad_channels(g: Graph, x: int) -> int:
    padded = g.pad(x, [(0, 0), (1, 1), (1, 1), (0, 2)])
    return g.conv(padded, g.tensor("w", data=weights((6, 3, 3, 6))), None, (1, 8, 8, 6))


def _pad_before_same(g: Graph, x: int) -> int:
    padded = g.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    w = g.tensor("w", data=weights((6, 3, 3, 4)))
    return g.conv(padded, w, None, (1, 10, 10, 6), padding="SAME")


def _pad_computed(g: Graph, x: int) -> int:
    a = g.tensor("a", data=np.array([(0, 0), (1, 1), (1, 1), (0, 0)], np.int32))
    amounts = g.tensor("amounts", (4, 2), dtype="int32")
    g.op(OPS.ADD, [a, a], [amounts], schema.AddOptionsT())
    padded = g.tensor("padded", (1, 12, 12, 4))
    g.op(OPS.PAD, [x, amounts], [padded], schema.PadOptionsT())
    return g.conv(padded, g.tensor("w", data=weights((6, 3, 3, 4))), None, (1, 10, 10, 6))


@pytest.mark.parametrize("build", [_pad_channels, _pad_before_same, _pad_computed])
def test_other_pads_stay(build: Callable[[Graph, int], int]) -> None:
    _, layer = only(build)
    assert layer.pad_op is None and layer.pads == (0, 0, 0, 0) and layer.ineligible is None


def test_a_pad_with_another_reader_stays() -> None:
    for outside in (False, True):
        builder = ModelBuilder()
        g = builder.graph()
        x = g.tensor("x", (1, 8, 8, 4))
        padded = g.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
        y = g.conv(padded, g.tensor("w", data=weights((6, 3, 3, 4))), None, (1, 8, 8, 6))
        z = padded
        if not outside:
            z = g.tensor("z", (1, 10, 10, 4))
            g.op(OPS.RELU, [padded], [z])
        g.ends([x], [y, z])
        assert find_layers(read_model(builder.bytes()))[0].pad_op is None


def _computed(g: Graph, x: int) -> int:
    return g.fc(x, g.tensor("v", (6, 4), variable=True), None, (64, 6))


def _computed_bias(g: Graph, x: int) -> int:
    return g.fc(x, g.tensor("w", data=weights((6, 4))), g.tensor("v", (6,), variable=True), (64, 6))


def _tanh(g: Graph, x: int) -> int:
    return g.conv(x, g.tensor("w", data=weights((6, 1, 1, 4))), None, (1, 8, 8, 6), activation=4)


def _huge_dilation(g: Graph, x: int) -> int:
    w = g.tensor("w", data=weights((6, 1, 1, 4)))
    return g.conv(x, w, None, (1, 8, 8, 6), dilation=(1 << 24, 1))


def _shuffled(g: Graph, x: int) -> int:
    y = g.fc(x, g.tensor("w", data=weights((6, 4))), None, (64, 6))
    g.subgraph.operators[-1].builtinOptions.weightsFormat = 1
    return y


def _sparse(g: Graph, x: int) -> int:
    w = g.tensor("w", data=weights((6, 4)))
    sparsity = schema.SparsityParametersT()
    sparsity.traversalOrder = np.array([0, 1], np.int32)
    g.subgraph.tensors[w].sparsity = sparsity
    return g.fc(x, w, None, (64, 6))


def _float16_graph(g: Graph, x: int) -> int:
    g.subgraph.tensors[x].type = schema.TensorType.FLOAT16
    return g.fc(x, g.tensor("w", data=weights((6, 4))), None, (64, 6))


def _depthwise(g: Graph, x: int) -> int:
    y = g.tensor("y", (1, 6, 6, 8))
    options = schema.DepthwiseConv2DOptionsT()
    options.depthMultiplier, options.strideH, options.strideW = 2, 1, 1
    g.op(OPS.DEPTHWISE_CONV_2D, [x, g.tensor("w", data=weights((1, 3, 3, 8)))], [y], options)
    return y


def _transposed(g: Graph, x: int) -> int:
    y = g.tensor("y", (1, 16, 16, 6))
    shape = g.tensor("s", data=np.array([1, 16, 16, 6], np.int32))
    g.op(
        OPS.TRANSPOSE_CONV,
        [shape, g.tensor("w", data=weights((6, 2, 2, 4))), x],
        [y],
        schema.TransposeConvOptionsT(),
    )
    return y


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (_computed, "weights are computed"),
        (_computed_bias, "bias is computed"),
        (_tanh, "activation number 4"),
        (_huge_dilation, "a size of 16777216, beyond the limit"),
        (_shuffled, "shuffled"),
        (_sparse, "sparse"),
        (_float16_graph, "not float32"),
        (_depthwise, "depthwise"),
        (_transposed, "transpose_conv is not supported"),
    ],
)
def test_layers_that_stay_float_say_why(build: Callable[[Graph, int], int], reason: str) -> None:
    model, layer = only(build)
    assert reason in layer.ineligible
    assert layer.float_bytes >= 0 and layer.positions >= 1
    check_convertible(model)


def test_layers_of_other_subgraphs_stay_float() -> None:
    builder = ModelBuilder()
    for name in ("main", "body"):
        g = builder.graph(name)
        x = g.tensor("x", (1, 4))
        g.ends([x], [g.fc(x, g.tensor(f"{name}/w", data=weights((6, 4))), None, (1, 6))])
    first, second = find_layers(read_model(builder.bytes()))
    assert (first.name, first.subgraph, first.ineligible) == ("main", 0, None)
    assert (second.name, second.subgraph) == ("body", 1)
    assert second.ineligible == "in another subgraph than the main one"


def _int8(g: Graph, x: int) -> int:
    return g.fc(x, g.tensor("w", data=np.ones((6, 4), np.int8)), None, (64, 6))


def _int8_behind_dequantize(g: Graph, x: int) -> int:
    source = g.tensor("q", data=np.ones((6, 4), np.int8))
    w = g.tensor("w", (6, 4))
    g.op(OPS.DEQUANTIZE, [source], [w], schema.DequantizeOptionsT())
    return g.fc(x, w, None, (64, 6))


def _int8_depthwise(g: Graph, x: int) -> int:
    y = _depthwise(g, x)
    w = g.tensor("q", data=np.ones((1, 3, 3, 8), np.uint8))
    g.subgraph.operators[-1].inputs = np.array([x, w], np.int32)
    return y


# Found by the fuzz target graph.
def test_weights_of_a_layer_that_always_stays_float() -> None:
    model, layer = only(_transposed)
    with pytest.raises(ModelError, match="weights, expected the shape"):
        layer_weights(model, layer)


# Flatbuffers leave an empty vector away (fuzz target graph).
@pytest.mark.parametrize("kind", ["input", "output"])
def test_models_without_input_or_output(kind: str, tmp_path: Path) -> None:
    model, _ = only(_float16_graph)
    setattr(model.subgraph, f"{kind}s", None)
    path = tmp_path / "model.tflite"
    path.write_bytes(model.to_bytes())
    assert getattr(inspect(path), f"{kind}s") == []
    with pytest.raises(ModelError, match=f"the model has no {kind}"):
        convert(path, tmp_path / "q.tflite")
    assert not (tmp_path / "q.tflite").exists()


@pytest.mark.parametrize("build", [_int8, _int8_behind_dequantize, _int8_depthwise])
def test_quantized_models_are_refused(build: Callable[[Graph, int], int]) -> None:
    model, layer = only(build)
    assert "quantized already" in layer.ineligible
    with pytest.raises(ModelError, match="has integer weights: the model is quantized already"):
        check_convertible(model)


@pytest.mark.parametrize(
    ("shape", "filters", "stride"),
    [
        ((1, 8, 8, 4), (6, 3, 3), 1),
        ((1, 8, 8, 4), (6, 3, 3, 3), 1),
        ((1, 8, 8, 4), (5, 3, 3, 2), 1),
        ((1, 8, 8, 2), (6, 3, 3, 4), 1),
        ((1, 8, 8), (6, 3, 3, 4), 1),
        ((1, 8, 8, -4), (6, 3, 3, 4), 1),
        ((1, 8, 8, 4), (6, 3, 3, 4), 0),
    ],
)
def test_contradictory_convolutions_are_refused(
    shape: tuple[int, ...], filters: tuple[int, ...], stride: int
) -> None:
    with pytest.raises(ModelError, match="contradicts itself"):
        only(
            lambda g, x: g.conv(
                x, g.tensor("w", data=weights(filters)), None, (1, 6, 6, 6), stride=(stride, 1)
            ),
            shape,
        )


def test_options_of_another_operator_are_refused() -> None:
    def build(g: Graph, x: int) -> int:
        y = g.tensor("y", (1, 6, 6, 6))
        w = g.tensor("w", data=weights((6, 3, 3, 4)))
        g.op(OPS.CONV_2D, [x, w], [y], schema.Pool2DOptionsT())
        return y

    with pytest.raises(ModelError, match="contradicts itself: it has no options"):
        only(build)


@pytest.mark.parametrize("inputs", [[0], [-1, 1], [0, -1]])
def test_a_layer_without_weights_is_refused(inputs: list[int]) -> None:
    def build(g: Graph, x: int) -> int:
        y = g.fc(x, g.tensor("w", data=weights((6, 4))), None, (64, 6))
        g.subgraph.operators[-1].inputs = np.array(inputs, np.int32)
        return y

    with pytest.raises(ModelError, match="lacks an input"):
        only(build)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    w, b = weights((6, 4)), weights((6,))
    w[2, 3] = b[1] = value
    model, layer = only(lambda g, x: g.fc(x, g.tensor("w", data=w), g.tensor("b", data=b), (64, 6)))
    with pytest.raises(ModelError, match="NaN or infinite"):
        layer_weights(model, layer)
    with pytest.raises(ModelError, match="not finite"):
        layer_bias(model, layer)
