"""Models as TensorFlow's own converter writes them, from reading to the decoded model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from graph_builders import OPS, assert_close, random_constants, run, weights

from qcnn_tflite.graph import (
    Model,
    QuantizedLayer,
    decode_weights,
    decoded_float_model,
    extract,
    find_layers,
    layer_weights,
    live_tensors,
    read_model,
    rewrite,
)

tf = pytest.importorskip("tensorflow", reason="the converter is part of tensorflow")


def network() -> Any:
    layers = tf.keras.layers
    tf.keras.utils.set_random_seed(0)
    return tf.keras.Sequential(
        [
            layers.Input((16, 16, 8)),
            layers.Conv2D(16, 3, activation="relu", name="first"),
            layers.Conv2D(16, 3, padding="same", use_bias=False, name="second"),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.ZeroPadding2D(((1, 0), (2, 1))),
            layers.Conv2D(16, 3, strides=2, groups=2, name="grouped"),
            layers.Conv2D(12, 3, dilation_rate=2, activation="relu", name="dilated"),
            layers.DepthwiseConv2D(3, padding="same", name="depth"),
            layers.Flatten(),
            layers.Dense(10, activation="relu", name="hidden"),
            layers.Dense(5, name="last"),
            layers.Softmax(),
        ]
    )


@pytest.fixture(scope="module")
def keras_bytes() -> dict[bool, bytes]:
    made = {}
    for half in (False, True):
        converter = tf.lite.TFLiteConverter.from_keras_model(network())
        if half:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        made[half] = converter.convert()
    return made


def constants_for(model: Model) -> dict[str, QuantizedLayer]:
    """Every eligible layer with a random product quantizer; the responses stay in range."""
    found = {}
    for i, layer in enumerate(find_layers(model)):
        if not layer.ineligible:
            q = random_constants(layer, d=4, K=12, scale=True, seed=i)
            small = (q.codebooks * np.float32(0.1)).astype(np.float32)
            found[layer.name] = QuantizedLayer(small, q.codes, q.bias, q.scale)
    return found


@pytest.mark.parametrize("half", [False, True])
def test_a_keras_network(keras_bytes: dict[bool, bytes], half: bool) -> None:
    model = read_model(keras_bytes[half])
    found = {layer.name: layer for layer in find_layers(model)}
    kinds = [layer.kind for layer in found.values()]
    assert sorted(kinds) == ["conv"] * 4 + ["depthwise"] + ["fc"] * 2
    assert {"first", "second", "dilated", "depth", "hidden", "last"} <= set(found)
    padded = [layer for layer in found.values() if layer.pad_op is not None]
    assert [layer.pads for layer in padded] == [(1, 0, 2, 1)]
    assert padded[0].groups == 2
    q = constants_for(model)
    written = rewrite(model, q)
    operators = [
        written_model.custom_name(op) or written_model.builtin(op)
        for written_model in [read_model(written)]
        for op in written_model.subgraph.operators
    ]
    assert operators.count("QConv") == 4 and operators.count("QFC") == 2
    assert OPS.PAD not in operators
    assert operators.count(OPS.DEQUANTIZE) == (2 if half else 0)  # those of the depthwise layer
    # The same network with the oracle's weights, put in by another route.
    replaced = {}
    for name, constants in q.items():
        layer = found[name]
        w = decode_weights(constants, layer.in_channels, layer.groups)
        replaced[layer.op_index] = (w * constants.scale[:, None, None, None], constants.bias)
    end = len(model.subgraph.operators)
    ends = [int(t) for t in model.subgraph.inputs], [int(t) for t in model.subgraph.outputs]
    x = weights((1, 16, 16, 8), 4)
    expected = run(extract(model, *ends, 0, end, replaced), x)[0]
    assert_close(run(decoded_float_model(written), x)[0], expected)
    assert np.abs(expected - run(keras_bytes[half], x)[0]).max() > 0.01


def test_the_float_weights_are_kerass(keras_bytes: dict[bool, bytes]) -> None:
    model = read_model(keras_bytes[False])
    keras = network()
    for layer in find_layers(model):
        if layer.name in ("first", "dilated"):
            kernel = keras.get_layer(layer.name).get_weights()[0]
            np.testing.assert_array_equal(layer_weights(model, layer), kernel.transpose(3, 0, 1, 2))
        if layer.name in ("hidden", "last"):
            kernel = keras.get_layer(layer.name).get_weights()[0]
            np.testing.assert_array_equal(layer_weights(model, layer)[:, 0, 0], kernel.T)


def test_batches(keras_bytes: dict[bool, bytes]) -> None:
    model = read_model(keras_bytes[False])
    x = weights((4, 16, 16, 8), 4)
    many = run(decoded_float_model(rewrite(model, constants_for(model))), x)[0]
    assert many.shape == (4, 5)
    end = len(model.subgraph.operators)
    ends = [int(t) for t in model.subgraph.inputs], [int(t) for t in model.subgraph.outputs]
    whole = run(extract(model, *ends, 0, end, {}, batch=4), x)[0]
    for i in range(4):
        assert_close(whole[i : i + 1], run(keras_bytes[False], x[i : i + 1])[0])


def test_layer_by_layer_is_the_whole(keras_bytes: dict[bool, bytes]) -> None:
    for half, data in keras_bytes.items():
        model = read_model(data)
        x = weights((1, 16, 16, 8), 4)
        values = {int(model.subgraph.inputs[0]): x}
        end = len(model.subgraph.operators)
        at = 0
        for cut in [*(layer.op_index for layer in find_layers(model)), end]:
            inputs, live = sorted(values), live_tensors(model, cut)
            outputs = [t for t in live if t not in values]
            if outputs:
                piece = extract(model, inputs, outputs, at, cut, {})
                results = run(piece, *[values[t] for t in inputs])
                values.update(zip(outputs, results, strict=True))
            values = {t: values[t] for t in live}
            at = cut
        assert_close(values[int(model.subgraph.outputs[0])], run(data, x)[0])
        assert half in (True, False)


def test_signatures_still_run() -> None:
    class Two(tf.Module):
        def __init__(self) -> None:
            self.w = tf.Variable(weights((12, 6)))

        @tf.function(input_signature=[tf.TensorSpec((1, 12), tf.float32, "x")])
        def project(self, x: Any) -> Any:
            return {"y": tf.matmul(x, self.w)}

        @tf.function(input_signature=[tf.TensorSpec((1, 6), tf.float32, "y")])
        def back(self, y: Any) -> Any:
            return {"x": tf.matmul(y, self.w, transpose_b=True)}

    module = Two()
    functions = [module.project.get_concrete_function(), module.back.get_concrete_function()]
    converter = tf.lite.TFLiteConverter.from_concrete_functions(functions, module)
    model = read_model(converter.convert())
    assert len(model.schema.subgraphs) == 2
    first, second = find_layers(model)
    assert second.ineligible == "in another subgraph than the main one"
    q = random_constants(first, d=4, K=6)
    out = decoded_float_model(rewrite(model, {first.name: q}))
    original, changed = (Interpreter(model_content=m) for m in (model.to_bytes(), out))
    signatures = changed.get_signature_list()
    assert len(signatures) == 2
    values = {"x": weights((1, 12), 1), "y": weights((1, 6), 2)}
    main = "x" if first.in_channels == 12 else "y"  # the converter chooses the order
    for key, names in signatures.items():
        (name,) = names["inputs"]
        (answer,) = changed.get_signature_runner(key)(**{name: values[name]}).values()
        (expected,) = original.get_signature_runner(key)(**{name: values[name]}).values()
        if name == main:
            decoded = decode_weights(q, first.in_channels).reshape(first.out_channels, -1)
            assert np.abs(answer - expected).max() > 0.1
            expected = values[name] @ decoded.T
        assert_close(answer, expected)


def test_control_flow_and_its_subgraphs_survive() -> None:
    w, v = weights((12, 8)), weights((8, 8), 1) * np.float32(0.5)

    @tf.function(input_signature=[tf.TensorSpec((1, 12), tf.float32)])
    def loop(x: Any) -> Any:
        y = tf.matmul(x, tf.constant(w))
        _, y = tf.while_loop(
            lambda i, _: i < 3,
            lambda i, y: (i + 1, tf.nn.relu(tf.matmul(y, tf.constant(v)))),
            (0, y),
        )
        return y

    converter = tf.lite.TFLiteConverter.from_concrete_functions([loop.get_concrete_function()])
    model = read_model(converter.convert())
    assert len(model.schema.subgraphs) == 3
    eligible = [layer for layer in find_layers(model) if not layer.ineligible]
    inner = [layer for layer in find_layers(model) if layer.ineligible]
    assert len(eligible) == len(inner) == 1 and inner[0].subgraph > 0
    q = random_constants(eligible[0], d=4, K=6, bias=False)
    x = weights((1, 12), 2)
    y = x @ decode_weights(q, 12).reshape(8, 12).T
    for _ in range(3):
        y = np.maximum(y @ v, 0)
    assert np.ptp(y) > 0.1
    assert_close(run(decoded_float_model(rewrite(model, {eligible[0].name: q})), x)[0], y)
