"""Converted models in real interpreters, against the float models of their decoded weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from graph_builders import run
from runtime_models import CODE_BITS, Conv, Fc, convert, inputs, network, network_twin

from qcnn_tflite.graph import decoded_float_model, find_q_layers, read_model
from qcnn_tflite.graph.ops import PADDING
from qcnn_tflite.runtime import Interpreter

# Float sums in another order differ by less than this times the norm of the outputs; so do tables in
# int16, on layers whose few outputs may cancel out.
TOLERANCES = {"reference": 1e-5, "auto": 1e-2}
BACKENDS = ["ai_edge_litert", "tensorflow"]

CASES: dict[str, tuple[Conv | Fc, dict[str, Any]]] = {
    "conv": (Conv(), {}),
    "conv 1x1": (Conv(kernel=(1, 1)), {"d": 2}),
    "conv uneven kernel": (Conv(kernel=(5, 2)), {}),
    "conv as large as the input": (Conv(kernel=(9, 8)), {}),
    "conv SAME": (Conv(options={"padding": "SAME"}), {}),
    "conv SAME even kernel": (Conv(kernel=(2, 4), options={"padding": "SAME"}), {}),
    "conv SAME larger than the input": (
        Conv(size=(2, 3), kernel=(5, 5), options={"padding": "SAME"}),
        {},
    ),
    "conv stride": (Conv(options={"stride": (2, 3)}), {}),
    "conv SAME stride": (Conv(options={"stride": (2, 3), "padding": "SAME"}), {}),
    "conv SAME stride over kernel": (
        Conv(kernel=(1, 1), options={"stride": (3, 2), "padding": "SAME"}),
        {},
    ),
    "conv dilation": (Conv(options={"dilation": (2, 3)}), {}),
    "conv SAME dilation": (Conv(options={"dilation": (3, 2), "padding": "SAME"}), {}),
    "conv EXPLICIT": (Conv(pads=(1, 2, 3, 0)), {}),
    "conv EXPLICIT stride": (Conv(pads=(2, 2, 2, 2), options={"stride": (2, 2)}), {}),
    "conv groups": (Conv(channels=12, outputs=9, groups=3), {"d": 2}),
    "conv depth 1 a group": (Conv(channels=4, outputs=8, groups=4), {"d": 3}),
    "conv groups, d does not divide": (Conv(channels=10, groups=2), {"d": 3}),
    "conv groups, codebooks a group": (
        Conv(channels=10, groups=2),
        {"d": 3, "codebooks": "per_group", "K": 5},
    ),
    "conv groups, shared": (Conv(channels=10, groups=2), {"d": 2, "codebooks": "shared"}),
    "conv d does not divide": (Conv(channels=7), {"d": 4}),
    "conv d over channels": (Conv(channels=3), {"d": 8}),
    "conv d=1": (Conv(), {"d": 1}),
    "conv shared": (Conv(), {"d": 2, "codebooks": "shared"}),
    "conv K=1": (Conv(), {"K": 1}),
    "conv no bias": (Conv(), {"bias": False}),
    "conv scale": (Conv(), {"scale": True}),
    "conv scale, no bias": (Conv(), {"scale": True, "bias": False}),
    "conv float16": (Conv(channels=7), {"dtype": "float16"}),
    "conv int8": (Conv(channels=7), {"dtype": "int8"}),
    "conv int8 shared, scale": (
        Conv(),
        {"dtype": "int8", "codebooks": "shared", "d": 2, "scale": True},
    ),
    "conv of many outputs": (Conv(channels=33, outputs=130), {"d": 8, "K": 128}),
    "fc": (Fc(), {}),
    "fc d=1 shared": (Fc(), {"d": 1, "codebooks": "shared"}),
    "fc d does not divide": (Fc(), {"d": 4}),
    "fc d over inputs": (Fc(input_shape=(1, 3), channels=3), {"d": 8}),
    "fc scale": (Fc(), {"scale": True}),
    "fc no bias": (Fc(with_bias=False), {}),
    "fc float16": (Fc(), {"dtype": "float16"}),
    "fc int8": (Fc(), {"dtype": "int8", "scale": True}),
    "fc of an image": (Fc(input_shape=(1, 3, 2, 4), channels=24), {}),
    "fc many rows": (Fc(input_shape=(37, 14)), {}),
    "fc rows of an image": (Fc(input_shape=(1, 3, 2, 14)), {}),
    "fc keep_num_dims": (Fc(input_shape=(1, 5, 14), options={"keep_num_dims": True}), {}),
    "fc of many outputs": (Fc(input_shape=(1, 130), channels=130, outputs=257), {"K": 32}),
    **{f"conv {bits} bits": (Conv(), {"K": K}) for bits, K in CODE_BITS.items()},
    **{f"fc {bits} bits": (Fc(), {"K": K}) for bits, K in CODE_BITS.items()},
    **{f"conv activation {n}": (Conv(options={"activation": n}), {}) for n in range(4)},
    **{f"fc activation {n}": (Fc(options={"activation": n}), {}) for n in range(4)},
}  # fmt: skip


@cache
def models(case: str) -> tuple[bytes, bytes]:
    layer, constants = CASES[case]
    data = convert(layer.add, **{"d": 4, "K": 11, **constants})
    return data, decoded_float_model(data)


@cache
def expected(case: str, batch: int) -> tuple[np.ndarray, np.ndarray]:
    shape = CASES[case][0].input_shape
    x = inputs((shape[0] * batch, *shape[1:]))
    (y,) = run(models(case)[1], x)
    return x, y


def outputs(data: bytes, x: np.ndarray, **options: Any) -> np.ndarray:
    interpreter = Interpreter(model_content=data, **options)
    (detail,) = interpreter.get_input_details()
    if tuple(detail["shape"]) != x.shape:
        interpreter.resize_tensor_input(detail["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(detail["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def assert_agrees(actual: np.ndarray, wanted: np.ndarray, kernel: str = "auto") -> None:
    assert actual.shape == wanted.shape
    assert np.abs(wanted).max() > 0
    assert np.linalg.norm(actual - wanted) <= TOLERANCES[kernel] * np.linalg.norm(wanted)


@pytest.mark.parametrize("kernel", TOLERANCES)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_layer_agrees_with_its_decoded_weights(
    case: str, backend: str, batch: int, kernel: str
) -> None:
    x, wanted = expected(case, batch)
    options = {"backend": backend, "kernel": kernel}
    first = outputs(models(case)[0], x, num_threads=1, **options)
    assert_agrees(first, wanted, kernel)
    for threads in (2, 4):
        other = outputs(models(case)[0], x, num_threads=threads, **options)
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("case", CASES)
def test_cases_are_what_they_say(case: str) -> None:
    (layer,) = find_q_layers(read_model(models(case)[0]))
    assert layer.op == ("QConv" if case.startswith("conv") else "QFC")
    if layer.op == "QConv":
        named = [number for name, number in PADDING.items() if name in case]
        assert layer.options["padding"] == (named[0] if named else PADDING["VALID"])
    if "bits" in case:
        assert layer.options["bits"] == int(case.split()[1])


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("backend", BACKENDS)
def test_network_agrees_with_its_decoded_weights(backend: str, threads: int, batch: int) -> None:
    x = inputs((batch, 8, 8, 3))
    actual = outputs(network(), x, backend=backend, num_threads=threads)
    assert_agrees(actual, run(network_twin(), x)[0])


def test_one_interpreter_takes_batch_after_batch() -> None:
    interpreter = Interpreter(model_content=network(), num_threads=2)
    index = interpreter.get_input_details()[0]["index"]
    for batch in (3, 1, 5):
        x = inputs((batch, 8, 8, 3), seed=batch)
        interpreter.resize_tensor_input(index, x.shape)
        interpreter.allocate_tensors()
        for _ in range(2):
            interpreter.set_tensor(index, x)
            interpreter.invoke()
        actual = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        assert_agrees(actual, run(network_twin(), x)[0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_do_not_hide(value: float) -> None:
    x = inputs((1, 8, 8, 3))
    x[0, 4, 4, 1] = value
    assert not np.isfinite(outputs(network(), x)).all()
