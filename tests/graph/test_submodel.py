"""Cutting a stand-alone model out of a graph, checked against the whole network."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from graph_builders import OPS, Graph, ModelBuilder, assert_close, run, weights

from qcnn_tflite.graph import Model, extract, find_layers, live_tensors, read_model


def chain(half: bool = False, reshape_to: tuple[int, ...] | None = (1, 96)) -> Model:
    """conv1 - relu - conv2 + relu - reshape - fc, and a second output from the relu.

    Tensors by name; `reshape_to` None puts the shape into the operator's options.
    """
    builder = ModelBuilder()
    g = builder.graph()

    def constant(name: str, value: np.ndarray) -> int:
        return g.half(name, value) if half else g.tensor(name, data=value)

    x = g.tensor("x", (1, 6, 6, 3))
    b = g.tensor("b", data=weights((6,), 5))
    c1 = g.conv(x, constant("conv1/w", weights((6, 3, 3, 3), 1)), b, (1, 4, 4, 6), "c1")
    relu = g.tensor("relu", (1, 4, 4, 6))
    g.op(OPS.RELU, [c1], [relu])
    w2 = constant("conv2/w", weights((6, 1, 1, 6), 2))
    c2 = g.conv(relu, w2, b, (1, 4, 4, 6), "c2", padding="SAME")
    total = g.tensor("sum", (1, 4, 4, 6))
    g.op(OPS.ADD, [c2, relu], [total], schema.AddOptionsT())
    flat = g.tensor("flat", (1, 96))
    options = schema.ReshapeOptionsT()
    if reshape_to is None:
        options.newShape = np.array([1, 96], np.int32)
        g.op(OPS.RESHAPE, [total], [flat], options)
    else:
        to = g.tensor("to", data=np.array(reshape_to, np.int32))
        g.op(OPS.RESHAPE, [total, to], [flat], options)
    y = g.fc(flat, constant("fc/w", weights((5, 96), 3)), None, (1, 5), "y")
    g.ends([x], [y, relu])
    builder.signature("serving_default", {"x": x}, {"y": y})
    return read_model(builder.bytes())


def index(model: Model, name: str) -> int:
    return next(i for i in range(len(model.subgraph.tensors)) if model.tensor_name(i) == name)


def op_of(model: Model, layer: str) -> int:
    return next(found.op_index for found in find_layers(model) if found.name == layer)


def image(batch: int = 1) -> np.ndarray:
    return weights((batch, 6, 6, 3), 11)


@pytest.mark.parametrize("half", [False, True])
def test_pieces_in_a_row_are_the_whole(half: bool) -> None:
    model = chain(half)
    whole = run(model.to_bytes(), image())
    cuts = [op_of(model, "conv1"), op_of(model, "conv2"), op_of(model, "fc")]
    values = {index(model, "x"): image()}
    for first, last in zip(cuts, [*cuts[1:], len(model.subgraph.operators)], strict=True):
        inputs = sorted(values)
        outputs = [t for t in live_tensors(model, last) if t not in inputs]
        results = run(
            extract(model, inputs, outputs, first, last, {}), *[values[t] for t in inputs]
        )
        values.update(zip(outputs, results, strict=True))
        values = {t: values[t] for t in live_tensors(model, last)}
    assert_close(values[index(model, "y")], whole[0])
    assert_close(values[index(model, "relu")], whole[1])


def test_live_tensors() -> None:
    model = chain(half=True)
    x, relu, y, c1 = (index(model, name) for name in ("x", "relu", "y", "c1"))
    assert live_tensors(model, 0) == [x]
    assert live_tensors(model, op_of(model, "conv1") + 1) == [c1]
    assert live_tensors(model, op_of(model, "conv2")) == [relu]
    # The second output stays live to the end though no operator reads it any more.
    assert set(live_tensors(model, op_of(model, "fc"))) == {relu, index(model, "flat")}
    assert set(live_tensors(model, len(model.subgraph.operators))) == {relu, y}


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("bias", [True, False])
def test_constants_are_replaced(half: bool, bias: bool) -> None:
    model = chain(half)
    conv, fc = op_of(model, "conv1"), op_of(model, "fc")
    w, v = weights((6, 3, 3, 3), 21), weights((5, 1, 1, 96), 22)
    b, c = (weights((6,), 23), weights((5,), 24)) if bias else (None, None)
    before = model.to_bytes()
    data = extract(
        model,
        [index(model, "x")],
        [index(model, "y")],
        0,
        len(model.subgraph.operators),
        {conv: (w, b), fc: (v, c)},
    )
    assert model.to_bytes() == before
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor("x", (1, 6, 6, 3))
    zeros = np.zeros(6, np.float32)
    c1 = g.conv(x, g.tensor("w", data=w), g.tensor("b", data=b if bias else zeros), (1, 4, 4, 6))
    relu = g.tensor("relu", (1, 4, 4, 6))
    g.op(OPS.RELU, [c1], [relu])
    rounded = weights((6, 1, 1, 6), 2)
    if half:
        rounded = rounded.astype(np.float16).astype(np.float32)
    w2 = g.tensor("w2", data=rounded)
    c2 = g.conv(relu, w2, g.tensor("b2", data=weights((6,), 5)), (1, 4, 4, 6), "c2")
    total = g.tensor("sum", (1, 4, 4, 6))
    g.op(OPS.ADD, [c2, relu], [total], schema.AddOptionsT())
    flat = g.tensor("flat", (1, 96))
    to = g.tensor("to", data=np.array([1, 96], np.int32))
    g.op(OPS.RESHAPE, [total, to], [flat], schema.ReshapeOptionsT())
    last = None if c is None else g.tensor("c", data=c)
    g.ends([x], [g.fc(flat, g.tensor("v", data=v.reshape(5, 96)), last, (1, 5), "y")])
    assert_close(run(data, image())[0], run(builder.bytes(), image())[0])


@pytest.mark.parametrize("reshape_to", [(1, 96), (-1, 96), None, (1, -1)])
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_batches_are_the_images_one_by_one(reshape_to: tuple[int, ...] | None, batch: int) -> None:
    model = chain(reshape_to=reshape_to)
    ends = [index(model, "x")], [index(model, "y"), index(model, "relu")]
    end = len(model.subgraph.operators)
    many = run(extract(model, *ends, 0, end, {}, batch=batch), image(batch))
    for i in range(batch):
        one = run(extract(model, *ends, 0, end, {}, batch=1), image(batch)[i : i + 1])
        for a, b in zip(many, one, strict=True):
            assert_close(a[i : i + 1], b)


def test_inputs_and_outputs_keep_their_order() -> None:
    model = chain()
    relu, c2, flat = (index(model, name) for name in ("relu", "c2", "flat"))
    a, b = weights((1, 4, 4, 6), 1), weights((1, 4, 4, 6), 2)
    end = op_of(model, "fc")
    total = (a + b).reshape(1, 96)
    start = op_of(model, "conv2") + 1
    np.testing.assert_allclose(
        run(extract(model, [relu, c2], [flat], start, end, {}), a, b)[0], total
    )
    sums = index(model, "sum")
    first, second = run(extract(model, [c2, relu], [flat, sums], start, end, {}), a, b)
    assert (first.shape, second.shape) == ((1, 96), (1, 4, 4, 6))


def test_an_input_that_nothing_reads_is_harmless() -> None:
    model = chain()
    ends = [index(model, "relu"), index(model, "c1")], [index(model, "c2")]
    data = extract(model, *ends, op_of(model, "conv2"), op_of(model, "conv2") + 1, {}, batch=2)
    a = weights((2, 4, 4, 6), 1)
    assert run(data, a, a)[0].shape == (2, 4, 4, 6)


def test_only_what_is_needed_is_kept() -> None:
    model = chain(half=True)
    conv = op_of(model, "conv2")
    data = extract(model, [index(model, "relu")], [index(model, "c2")], conv, conv + 1, {})
    small = read_model(data)
    names = {small.tensor_name(i) for i in range(len(small.subgraph.tensors))}
    assert names == {"relu", "conv2/w_f16", "conv2/w", "b", "c2"}
    assert not small.schema.signatureDefs
    other = weights((5, 96), 3).astype(np.float16).tobytes()
    assert other in model.to_bytes() and other not in data


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        (["x"], ["x"], "both input and output"),
        (["x"], ["y"], "do not compute 'flat'"),
        (["flat"], ["sum"], "do not compute 'sum'"),
    ],
)
def test_what_cannot_be_computed_is_refused(
    inputs: list[str], outputs: list[str], words: str
) -> None:
    model = chain()
    with pytest.raises(ValueError, match=words):
        extract(
            model,
            [index(model, n) for n in inputs],
            [index(model, n) for n in outputs],
            op_of(model, "fc"),
            len(model.subgraph.operators),
            {},
        )


def test_variable_tensors_keep_their_state_kind() -> None:
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor("x", (1, 4))
    state = g.tensor("state", (1, 3), variable=True)
    y = g.tensor("y", (1, 3))
    options = schema.RNNOptionsT()
    inputs = [
        x,
        g.tensor("w", data=weights((3, 4))),
        g.tensor("r", data=weights((3, 3), 1)),
        g.tensor("b", data=weights((3,), 2)),
        state,
    ]
    g.op(OPS.RNN, inputs, [y], options)
    g.ends([x], [y])
    model = read_model(builder.bytes())
    data = extract(model, [x], [y], 0, 1, {})
    small = read_model(data)
    assert [t.isVariable for t in small.subgraph.tensors].count(True) == 1
    assert_close(run(data, weights((1, 4)))[0], run(model.to_bytes(), weights((1, 4)))[0])


def test_subgraphs_stay_where_control_flow_calls_them() -> None:
    builder = ModelBuilder()
    g = builder.graph()
    x, flag = g.tensor("x", (1, 4)), g.tensor("flag", data=np.array([1], np.int32))
    for name, op in (("then", OPS.RELU), ("else", OPS.NEG)):
        branch = Graph(builder, name)
        builder.schema.subgraphs.append(branch.subgraph)
        a, b = branch.tensor("a", (1, 4)), branch.tensor("b", (1, 4))
        branch.op(op, [a], [b])
        branch.ends([a], [b])
    condition = g.tensor("condition", (1,), dtype="int32")
    g.subgraph.tensors[condition].type = schema.TensorType.BOOL
    zero = g.tensor("zero", data=np.array([0], np.int32))
    g.op(OPS.GREATER, [flag, zero], [condition], schema.GreaterOptionsT())
    y, z = g.tensor("y", (1, 4)), g.tensor("z", (1, 4))
    options = schema.IfOptionsT()
    options.thenSubgraphIndex, options.elseSubgraphIndex = 1, 2
    g.op(OPS.IF, [condition, x], [y], options)
    g.op(OPS.RELU, [y], [z])
    g.ends([x], [z])
    model = read_model(builder.bytes())
    value = weights((1, 4))
    assert len(read_model(extract(model, [y], [z], 2, 3, {})).schema.subgraphs) == 1
    whole = extract(model, [x], [z], 0, 3, {})
    assert len(read_model(whole).schema.subgraphs) == 3
    np.testing.assert_array_equal(run(whole, value)[0], np.maximum(value, 0))
