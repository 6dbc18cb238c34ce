"""The differentiable function of a graph against TensorFlow Lite's interpreter."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from small_network import float_model, images

from qcnn_tflite import models
from qcnn_tflite.distillation.function import GraphFunction, logits
from qcnn_tflite.errors import ModelError
from qcnn_tflite.graph import find_layers, layer_bias, layer_weights, read_model
from qcnn_tflite.graph.schema import BuiltinOperator

LARGE = ["alexnet", "cnn_s", "vgg16", "alexnet_owt"]
OTHERS = [n for n in models.names() if n not in (*LARGE, "caffenet", models.DEFAULT)]


def interpreted(data: bytes, inputs: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]
    rows = []
    for image in inputs:
        interpreter.set_tensor(source, image[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(target)[0])
    return np.array(rows)


def check(data: bytes, inputs: np.ndarray) -> None:
    model = read_model(data)
    output = int(model.subgraph.outputs[0])
    found = GraphFunction(model, [output])(inputs)[output].numpy()
    expected = interpreted(data, inputs)
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_small_network() -> None:
    check(float_model(), images(3))


def test_default_network_on_its_images() -> None:
    source = models.load_float("default")
    path = models.embedded.test_images()
    with np.load(path) as archive:
        pixels = archive["images"][:4]
    assert source.preprocessing is not None
    check(source.data, np.stack([source.preprocessing(image) for image in pixels]))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OTHERS, *LARGE])
def test_named_networks(name: str) -> None:
    source = models.load_float(name, weights="random", seed=0)
    model = read_model(source.data)
    shape = model.shape(int(model.subgraph.inputs[0]))
    smooth = np.random.default_rng(0).normal(size=(2, 8, 8, shape[3])).astype(np.float32)
    repeats = -(-shape[1] // 8)
    smooth = np.repeat(np.repeat(smooth, repeats, 1), repeats, 2)[:, : shape[1], : shape[2]]
    check(source.data, smooth)


def test_layers_take_other_constants() -> None:
    model = read_model(float_model())
    layers = {layer.name: layer for layer in find_layers(model)}
    fc2 = layers["fc2"]
    tensor = logits(model)
    function = GraphFunction(model, [tensor])
    x = images(2)
    weights, bias = (
        layer_weights(model, fc2).reshape(model.shape(fc2.weights)),
        layer_bias(model, fc2),
    )
    plain = function(x)[tensor].numpy()
    moved = function(x, {fc2.op_index: (weights, bias + 1)})[tensor].numpy()
    np.testing.assert_allclose(moved, plain + 1, atol=1e-5)


def test_logits_are_before_the_softmax() -> None:
    model = read_model(float_model())
    tensor, output = logits(model), int(model.subgraph.outputs[0])
    assert tensor != output
    x = images(2)
    values = GraphFunction(model, [tensor, output])(x)
    z = values[tensor].numpy()
    p = np.exp(z - z.max(axis=1, keepdims=True))
    np.testing.assert_allclose(values[output].numpy(), p / p.sum(axis=1, keepdims=True), atol=1e-6)


def test_an_unknown_operator_is_named() -> None:
    model = read_model(float_model())
    for code in model.schema.operatorCodes:
        if code.builtinCode == BuiltinOperator.MAX_POOL_2D:
            code.builtinCode = BuiltinOperator.L2_POOL_2D
            code.deprecatedBuiltinCode = BuiltinOperator.L2_POOL_2D
    output = int(model.subgraph.outputs[0])
    with pytest.raises(ModelError, match="L2_POOL_2D"):
        GraphFunction(model, [output])
    # What comes before it can be computed all the same.
    conv1 = find_layers(model)[0]
    assert GraphFunction(model, [conv1.output])(images(1))[conv1.output].shape[-1] == 24
