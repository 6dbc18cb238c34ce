"""Local response normalization by the delegate, against the runtime's own op."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from graph_builders import Graph, ModelBuilder, run, weights
from runtime_models import Conv, convert, inputs, normalize

from qcnn_tflite.errors import ModelError
from qcnn_tflite.graph import decoded_float_model, read_model
from qcnn_tflite.runtime import Interpreter, library_path, load_delegate
from qcnn_tflite.runtime.backend import find_backend

BACKENDS = ["ai_edge_litert", "tensorflow"]

# shape, radius, bias, alpha, beta
CASES: dict[str, tuple[tuple[int, ...], int, float, float, float]] = {
    "AlexNet norm1": ((1, 13, 13, 96), 2, 1.0, 2e-5, 0.75),
    "AlexNet norm2": ((1, 7, 7, 256), 2, 1.0, 2e-5, 0.75),
    "strong": ((1, 4, 5, 24), 2, 2.0, 0.5, 0.75),
    "beta 0.5": ((2, 4, 5, 17), 3, 1.0, 0.3, 0.5),
    "beta 1": ((2, 4, 5, 17), 1, 1.0, 0.3, 1.0),
    "other beta": ((1, 4, 5, 31), 4, 0.7, 0.3, 0.6),
    "radius 0": ((1, 2, 3, 5), 0, 1.0, 0.3, 0.75),
    "radius over channels": ((1, 2, 3, 5), 9, 1.0, 0.3, 0.75),
    "wide": ((1, 3, 3, 100), 20, 1.0, 0.1, 0.75),
    "one channel": ((1, 3, 3, 1), 2, 1.0, 0.3, 0.75),
    "many pixels": ((1, 120, 120, 8), 2, 1.0, 0.3, 0.75),
}


@cache
def model(shape: tuple[int, ...], radius: int, bias: float, alpha: float, beta: float) -> bytes:
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor("x", shape)
    g.ends([x], [normalize(g, x, shape, radius, bias, alpha, beta)])
    return builder.bytes()


def claimed(interpreter: Any) -> int:
    """Nodes of a delegate. Those that it replaced stay in the list; XNNPACK knows none of ours."""
    return sum(op["op_name"] == "DELEGATE" for op in interpreter._get_ops_details())


def outputs(data: bytes, x: np.ndarray, **options: Any) -> tuple[np.ndarray, int]:
    """The output, and how many ops the delegate claimed."""
    interpreter = Interpreter(model_content=data, **options)
    (detail,) = interpreter.get_input_details()
    if tuple(detail["shape"]) != x.shape:
        interpreter.resize_tensor_input(detail["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(detail["index"], x)
    interpreter.invoke()
    y = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return y, claimed(interpreter)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_op_of_the_runtime(case: str, backend: str) -> None:
    x = 5 * inputs(CASES[case][0])
    (wanted,) = run(model(*CASES[case]), x)
    actual, nodes = outputs(model(*CASES[case]), x, backend=backend, num_threads=1)
    assert nodes == 1
    np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=0)
    for threads in (2, 4):
        other, _ = outputs(model(*CASES[case]), x, backend=backend, num_threads=threads)
        np.testing.assert_array_equal(other, actual)
    slow, _ = outputs(model(*CASES[case]), x, backend=backend, kernel="reference")
    np.testing.assert_allclose(slow, wanted, rtol=1e-5, atol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_may_be_left_to_the_runtime(backend: str) -> None:
    case = CASES["strong"]
    x = inputs(case[0])
    actual, nodes = outputs(model(*case), x, backend=backend, lrn=False)
    assert nodes == 0
    np.testing.assert_array_equal(actual, run(model(*case), x)[0])


def test_follows_a_resized_input() -> None:
    case = CASES["strong"]
    x = inputs((3, 2, 9, 24))
    np.testing.assert_allclose(
        outputs(model(*case), x)[0], run(model(*case), x)[0], rtol=1e-5, atol=0
    )


@cache
def between_layers() -> bytes:
    def add(g: Graph) -> None:
        x = g.tensor("x", Conv().input_shape)
        w = g.tensor("w", data=weights((10, 3, 3, 6)))
        y = g.conv(x, w, None, (1, 7, 6, 10), activation=1)
        y = normalize(g, y, (1, 7, 6, 10), 2, 1.0, 0.01, 0.75)
        w = g.tensor("fc/w", data=weights((4, 420)))
        g.ends([x], [g.fc(y, w, None, (1, 4))])

    return convert(add, d=2, K=16)


@pytest.mark.parametrize("backend", BACKENDS)
def test_between_quantized_layers(backend: str) -> None:
    x = inputs(Conv().input_shape)
    (wanted,) = run(decoded_float_model(between_layers()), x)
    for lrn in (True, False):
        actual, nodes = outputs(between_layers(), x, backend=backend, lrn=lrn)
        assert nodes == 2 + lrn
        assert np.abs(actual - wanted).max() <= 5e-3 * np.abs(wanted).max()


@pytest.mark.parametrize(
    "parameters",
    [(-1, 1.0, 1.0, 0.5), (2, np.nan, 1.0, 0.5), (2, 1.0, np.inf, 0.5), (2, 1.0, 1.0, np.nan)],
)
def test_parameters_that_mean_nothing_are_refused(
    parameters: tuple[int, float, float, float],
) -> None:
    # TensorFlow Lite's own op writes outside its memory for a negative radius.
    with pytest.raises(ModelError, match="its radius is negative, or"):
        Interpreter(model_content=model((1, 2, 2, 4), *parameters)).allocate_tensors()


def test_a_negative_radius_is_refused_whatever_the_shapes() -> None:
    graph = read_model(model((1, 2, 2, 4), -1, 1.0, 1.0, 0.5))
    graph.subgraph.tensors[int(graph.subgraph.outputs[0])].shape = np.zeros(0, np.int32)
    with pytest.raises(ModelError, match="its radius is negative, or"):
        Interpreter(model_content=graph.to_bytes()).allocate_tensors()


def test_option_of_the_delegate() -> None:
    assert load_delegate(lrn=False) is not None
    path = library_path()
    _, module = find_backend()
    for options, sentence in (
        ({"lrn": "yes"}, "option 'lrn' is 'yes'; expected 0 or 1"),
        ({"norm": "0"}, "no option 'norm'; the options are: kernel, lrn"),
    ):
        with pytest.raises(ValueError, match=sentence):
            module.load_delegate(str(path), options=options)
