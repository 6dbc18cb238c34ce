"""What the rewritten file holds; that it computes the right thing is test_decoded_model's."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers
from graph_builders import OPS, Graph, ModelBuilder, assert_close, random_constants, run, weights

from qcnn_tflite.errors import ModelError
from qcnn_tflite.graph import (
    Model,
    QuantizedLayer,
    check_convertible,
    decode_weights,
    decoded_float_model,
    find_layers,
    find_q_layers,
    pack_codes,
    read_model,
    rewrite,
)


def two_layers(half: bool = False) -> ModelBuilder:
    """Convolution (bias, ReLU), then a fully-connected layer without bias."""
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor("x", (1, 8, 8, 4))
    w, b, v = weights((6, 3, 3, 4)), weights((6,)), weights((5, 216))
    constant = g.half if half else lambda name, value: g.tensor(name, data=value)
    y = g.conv(
        x, constant("conv/w", w), constant("conv/b", b), (1, 6, 6, 6), "conv/Relu", activation=1
    )
    z = g.fc(y, constant("fc/w", v), None, (1, 5), "fc/MatMul")
    g.ends([x], [z])
    return builder


def constants_for(model: Model, **options: Any) -> dict[str, QuantizedLayer]:
    return {
        layer.name: random_constants(layer, seed=i, **options)
        for i, layer in enumerate(find_layers(model))
        if not layer.ineligible
    }


def tensor_names(model: Model) -> list[str]:
    return [model.tensor_name(i) for i in range(len(model.subgraph.tensors))]


def operator_names(model: Model) -> list[str]:
    names = {v: k for k, v in vars(OPS).items() if k.isupper()}
    return [model.custom_name(o) or names[model.builtin(o)] for o in model.subgraph.operators]


def test_the_file_is_as_the_contract_says() -> None:
    model = read_model(two_layers().bytes())
    q = constants_for(model, scale=True)
    out = read_model(rewrite(model, q))
    assert operator_names(out) == ["QConv", "QFC"]
    names = tensor_names(out)
    assert names[: len(tensor_names(model))] == tensor_names(model)
    assert names[len(tensor_names(model)) :] == ["conv/codes", "conv/scale", "fc/codes", "fc/scale"]
    conv, fc = out.subgraph.operators
    assert [names[t] if t >= 0 else None for t in conv.inputs] == [
        "x", "conv/w", "conv/codes", "conv/b", "conv/scale",
    ]  # fmt: skip
    assert [names[t] if t >= 0 else None for t in fc.inputs] == [
        "conv/Relu", "fc/w", "fc/codes", None, "fc/scale",
    ]  # fmt: skip
    np.testing.assert_array_equal(out.constant(conv.inputs[1]), q["conv"].codebooks)
    np.testing.assert_array_equal(out.constant(conv.inputs[2]), pack_codes(q["conv"].codes, 4))
    np.testing.assert_array_equal(out.constant(conv.inputs[3]), q["conv"].bias)
    np.testing.assert_array_equal(out.constant(conv.inputs[4]), q["conv"].scale)
    assert flexbuffers.Loads(bytes(conv.customOptions)) == {
        "version": 1, "bits": 4, "activation": 1, "in_channels": 4, "out_channels": 6,
        "kernel_h": 3, "kernel_w": 3, "stride_h": 1, "stride_w": 1,
        "dilation_h": 1, "dilation_w": 1, "groups": 1, "padding": 1,
        "pad_top": 0, "pad_bottom": 0, "pad_left": 0, "pad_right": 0,
    }  # fmt: skip
    assert flexbuffers.Loads(bytes(fc.customOptions)) == {
        "version": 1, "bits": 4, "activation": 0, "in_channels": 216, "out_channels": 5,
        "keep_num_dims": 0,
    }  # fmt: skip
    custom = [c for c in out.schema.operatorCodes if c.customCode]
    assert [(c.builtinCode, c.deprecatedBuiltinCode, c.version) for c in custom] == [
        (32, 32, 1)
    ] * 2


def test_float_weights_leave_the_file_and_the_model_is_not_touched() -> None:
    data = two_layers().bytes()
    model = read_model(data)
    before = model.to_bytes()
    written = rewrite(model, constants_for(model))
    assert model.to_bytes() == before
    for name in ("conv/w", "fc/w"):
        value = model.constant(tensor_names(model).index(name))
        assert value.tobytes() in data and value.tobytes() not in written


def test_equal_layers_give_equal_bytes_in_any_order() -> None:
    model = read_model(two_layers().bytes())
    q = constants_for(model)
    assert rewrite(model, q) == rewrite(read_model(two_layers().bytes()), dict(reversed(q.items())))


def test_operator_codes_that_nothing_uses_leave_the_file() -> None:
    builder = two_layers()
    g = builder.graph("other")
    a = g.tensor("a", (1, 4))
    g.ends([a], [g.fc(a, g.tensor("body/w", data=weights((4, 4))), None, (1, 4))])
    model = read_model(builder.bytes())
    out = read_model(rewrite(model, constants_for(model)))
    codes = [out.schema.operatorCodes[i].builtinCode for i in range(len(out.schema.operatorCodes))]
    assert sorted(codes) == sorted([OPS.FULLY_CONNECTED, OPS.CUSTOM, OPS.CUSTOM])
    (inner,) = out.schema.subgraphs[1].operators
    assert out.builtin(inner) == OPS.FULLY_CONNECTED
    assert operator_names(model) == ["CONV_2D", "FULLY_CONNECTED"]


def test_only_the_named_layers_change() -> None:
    model = read_model(two_layers().bytes())
    q = constants_for(model)
    out = read_model(rewrite(model, {"fc": q["fc"]}))
    assert operator_names(out) == ["CONV_2D", "QFC"]
    for name in ("conv/w", "conv/b"):
        i = tensor_names(model).index(name)
        np.testing.assert_array_equal(out.constant(i), model.constant(i))


def test_a_rewritten_model_is_not_rewritten_again() -> None:
    model = read_model(two_layers().bytes())
    out = read_model(rewrite(model, {"fc": constants_for(model)["fc"]}))
    with pytest.raises(ModelError, match="converted already"):
        check_convertible(out)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("codebooks", ["per_subspace", "shared"])
def test_q_layers_are_read_back(dtype: str, codebooks: str) -> None:
    model = read_model(two_layers().bytes())
    q = constants_for(model, dtype=dtype, codebooks=codebooks, scale=True, K=100)
    found = find_q_layers(read_model(rewrite(model, q)))
    assert [(layer.op, layer.name) for layer in found] == [("QConv", "conv"), ("QFC", "fc")]
    for layer in found:
        wanted = q[layer.name]
        assert layer.codebook_dtype == dtype
        for field in ("codebooks", "codes", "bias", "scale", "codebook_scales"):
            a, b = getattr(layer.constants, field), getattr(wanted, field)
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_array_equal(a, b)


def test_int8_codebooks_carry_their_scales() -> None:
    model = read_model(two_layers().bytes())
    q = constants_for(model, dtype="int8")
    out = read_model(rewrite(model, q))
    quantization = out.subgraph.tensors[out.subgraph.operators[0].inputs[1]].quantization
    np.testing.assert_array_equal(quantization.scale, q["conv"].codebook_scales)
    assert list(quantization.zeroPoint) == [0] * len(q["conv"].codebooks)
    assert quantization.quantizedDimension == 0


@pytest.mark.parametrize("readers", ["layer", "relu", "output"])
def test_a_weight_with_another_reader_stays(readers: str) -> None:
    builder = ModelBuilder()
    g = builder.graph()
    x, w = g.tensor("x", (2, 4)), g.tensor("w", data=weights((4, 4)))
    y = g.fc(x, w, None, (2, 4), "a/MatMul")
    other = w
    if readers == "layer":
        other = g.fc(y, w, None, (2, 4), "b/MatMul")
    if readers == "relu":
        other = g.tensor("z", (4, 4))
        g.op(OPS.RELU, [w], [other])
    g.ends([x], [y, other])
    model = read_model(builder.bytes())
    layer, *rest = find_layers(model)
    q = random_constants(layer, d=2, K=4, seed=5)
    written = rewrite(model, {layer.name: q})
    out = read_model(written)
    np.testing.assert_array_equal(out.constant(w), model.constant(w))
    assert f"{layer.name}/codebooks" in tensor_names(out)
    value = weights((2, 4), 3)
    expected = value @ decode_weights(q, 4).reshape(4, 4).T
    if readers != "output":  # the stock interpreter gives out no constants
        assert_close(run(decoded_float_model(written), value)[0], expected)
    if rest:  # both quantized: nobody reads it any more
        both = {layer.name: q, rest[0].name: random_constants(rest[0], d=2, K=4, seed=9)}
        written = rewrite(model, both)
        assert read_model(written).constant(w) is None
        assert model.constant(w).tobytes() not in written


def test_tensors_that_share_a_buffer_do_not_lose_it() -> None:
    builder = ModelBuilder()
    g = builder.graph()
    x, w = g.tensor("x", (2, 4)), g.tensor("w", data=weights((4, 4)))
    twin = g.tensor("twin", (4, 4))
    g.subgraph.tensors[twin].buffer = g.subgraph.tensors[w].buffer
    y = g.fc(x, w, None, (2, 4), "a/MatMul")
    z = g.fc(y, twin, None, (2, 4), "b/MatMul")
    g.ends([x], [z])
    model = read_model(builder.bytes())
    first, second = find_layers(model)
    out = read_model(rewrite(model, {first.name: random_constants(first, d=2, K=4)}))
    np.testing.assert_array_equal(out.constant(twin), model.constant(twin))
    assert second.weights == twin


def test_float16_weights_lose_their_dequantize() -> None:
    model = read_model(two_layers(half=True).bytes())
    written = rewrite(model, constants_for(model))
    assert operator_names(read_model(written)) == ["QConv", "QFC"]
    partly = read_model(rewrite(model, {"fc": constants_for(model)["fc"]}))
    assert operator_names(partly) == ["DEQUANTIZE", "DEQUANTIZE", "CONV_2D", "QFC"]
    for i in range(len(model.subgraph.tensors)):
        name = model.tensor_name(i)
        if name.startswith("conv/") and name.endswith("_f16"):
            np.testing.assert_array_equal(partly.constant(i), model.constant(i))
        if name == "fc/w_f16":
            assert partly.constant(i) is None


def test_a_dequantize_goes_with_the_last_of_its_readers() -> None:
    builder = ModelBuilder()
    g = builder.graph()
    x, w, b = g.tensor("x", (2, 4)), g.half("w", weights((4, 4))), g.half("b", weights((4,)))
    y = g.fc(x, w, b, (2, 4), "a/MatMul")
    z = g.fc(y, w, None, (2, 4), "b/MatMul")
    g.ends([x], [z])
    model = read_model(builder.bytes())
    first, second = find_layers(model)
    q = random_constants(first, d=2, K=4, bias=False, seed=5)
    half = weights((4, 4)).astype(np.float16).tobytes()
    one = rewrite(model, {second.name: q})
    assert operator_names(read_model(one)) == ["DEQUANTIZE", "DEQUANTIZE", "FULLY_CONNECTED", "QFC"]
    both = rewrite(model, {first.name: q, second.name: q})
    assert operator_names(read_model(both)) == ["QFC", "QFC"]
    assert half in one and half not in both
    decoded = decode_weights(q, 4).reshape(4, 4)
    value = weights((2, 4), 3)
    assert_close(run(decoded_float_model(both), value)[0], value @ decoded.T @ decoded.T)


def test_a_dequantize_with_another_reader_stays() -> None:
    builder = ModelBuilder()
    g = builder.graph()
    x, w = g.tensor("x", (2, 4)), g.half("w", weights((4, 4)))
    y = g.fc(x, w, None, (2, 4), "a/MatMul")
    z = g.tensor("z", (4, 4))
    g.op(OPS.RELU, [w], [z])
    g.ends([x], [y, z])
    model = read_model(builder.bytes())
    written = rewrite(model, {"a": random_constants(find_layers(model)[0], d=2, K=4)})
    assert operator_names(read_model(written)) == ["DEQUANTIZE", "QFC", "RELU"]
    half = weights((4, 4)).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(
        run(decoded_float_model(written), weights((2, 4)))[1], np.maximum(half, 0)
    )


def test_a_pad_is_folded() -> None:
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor("x", (1, 8, 8, 4))
    padded = g.pad(x, [(0, 0), (1, 2), (3, 0), (0, 0)])
    y = g.conv(padded, g.tensor("conv/w", data=weights((6, 3, 3, 4))), None, (1, 9, 9, 6))
    g.ends([x], [y])
    model = read_model(builder.bytes())
    written = rewrite(model, constants_for(model))
    (layer,) = find_q_layers(read_model(written))
    assert layer.options["padding"] == 2
    assert [layer.options[f"pad_{s}"] for s in ("top", "bottom", "left", "right")] == [1, 2, 3, 0]
    assert operator_names(read_model(written)) == ["QConv"]
    assert operator_names(read_model(rewrite(model, {}))) == ["PAD", "CONV_2D"]


def test_everything_else_survives() -> None:
    builder = two_layers()
    builder.metadata("min_runtime_version", b"2.3.0")
    builder.metadata("TFLITE_METADATA", b"\x01\x02\x03" * 100)
    builder.signature("serving_default", {"image": 0}, {"scores": 5})
    g = builder.graph("while_body")
    a = g.tensor("a", (1, 4))
    g.ends([a], [g.fc(a, g.tensor("body/w", data=weights((4, 4))), None, (1, 4))])
    main = builder.schema.subgraphs[0]
    state = schema.TensorT()
    state.name, state.shape, state.isVariable = "state", np.array([1, 2], np.int32), True
    main.tensors.append(state)
    data = builder.bytes()
    archive = io.BytesIO(data)
    with zipfile.ZipFile(archive, "a") as target:
        target.writestr("labels.txt", "cat\ndog\n")
    model = read_model(archive.getvalue())
    written = rewrite(model, constants_for(model), {"model": "m"}, None)
    with zipfile.ZipFile(io.BytesIO(written)) as files:
        assert files.read("labels.txt") == b"cat\ndog\n"
    out = read_model(written)
    metadata = {e.name: bytes(out.schema.buffers[e.buffer].data) for e in out.schema.metadata}
    assert metadata[b"min_runtime_version"] == b"2.3.0"
    assert metadata[b"TFLITE_METADATA"] == b"\x01\x02\x03" * 100
    (signature,) = out.schema.signatureDefs
    assert signature.signatureKey == b"serving_default"
    assert (signature.inputs[0].tensorIndex, signature.outputs[0].tensorIndex) == (0, 5)
    assert [s.name for s in out.schema.subgraphs] == [b"main", b"while_body"]
    np.testing.assert_array_equal(
        out.constant(1, out.schema.subgraphs[1]), model.constant(1, model.schema.subgraphs[1])
    )
    assert out.subgraph.tensors[6].isVariable and out.tensor_name(6) == "state"
    assert out.schema.description == model.schema.description
    assert len(out.schema.buffers[0].data if out.schema.buffers[0].data is not None else b"") == 0
    assert list(out.subgraph.inputs) == [0] and list(out.subgraph.outputs) == [5]


def test_constants_of_a_rewritten_file_are_aligned() -> None:
    model = read_model(two_layers().bytes())
    packed = schema.Model.GetRootAs(rewrite(model, constants_for(model, K=5, d=3)))
    tables = [packed.Buffers(i)._tab for i in range(packed.BuffersLength())]
    starts = [table.Vector(table.Offset(4)) for table in tables if table.Offset(4)]
    assert len(starts) >= 5 and not any(start % 64 for start in starts)


def _change(**fields: Any) -> Callable[[QuantizedLayer], QuantizedLayer]:
    def apply(q: QuantizedLayer) -> QuantizedLayer:
        values = {k: (v(getattr(q, k)) if callable(v) else v) for k, v in fields.items()}
        return QuantizedLayer(**{**vars(q), **values})

    return apply


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_change(codes=lambda c: c[:-1]), "expected codes of shape"),
        (_change(codes=lambda c: c.astype(np.int32)), "expected codes of shape"),
        (_change(codes=lambda c: c + np.uint8(16)), "code .* of a codebook with 16"),
        (_change(codebooks=lambda c: np.concatenate([c, c, c])), "codebooks, got"),
        (_change(codebooks=lambda c: c.astype(np.float64)), "float16 or int8"),
        (_change(codebooks=lambda c: c.astype(np.int8)), "positive scale"),
        (_change(codebook_scales=np.ones(1, np.float32)), "positive scale"),
        (_change(bias=np.zeros(4, np.float32)), "bias of shape"),
        (_change(scale=np.zeros((6, 1), np.float32)), "scale of shape"),
        (_change(bias=np.full(6, np.nan, np.float32)), "NaN or infinite"),
        (_change(scale=np.full(6, np.inf, np.float32)), "NaN or infinite"),
        (
            _change(codebooks=lambda c: (c * np.float32(1e6)).astype(np.float16)),
            "infinite in float16",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_constants_that_break_the_contract_are_not_written(
    change: Callable[[QuantizedLayer], QuantizedLayer], words: str
) -> None:
    model = read_model(two_layers().bytes())
    q = constants_for(model)["conv"]
    with pytest.raises(ValueError, match=words):
        rewrite(model, {"conv": change(q)})


def test_unknown_and_ineligible_layers_are_refused() -> None:
    builder = two_layers()
    g = Graph(builder, "unused")
    builder.schema.subgraphs.append(g.subgraph)
    a = g.tensor("a", (1, 4))
    g.ends([a], [g.fc(a, g.tensor("body/w", data=weights((4, 4))), None, (1, 4))])
    model = read_model(builder.bytes())
    q = random_constants(find_layers(model)[-1], d=2)
    with pytest.raises(ModelError, match="no layer nope; it has: conv, fc, body"):
        rewrite(model, {"nope": q})
    with pytest.raises(ModelError, match="'body' cannot be quantized: in another subgraph"):
        rewrite(model, {"body": q})
