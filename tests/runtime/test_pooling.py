"""Max pooling that the delegate computes with the layer before it, against one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from graph_builders import OPS, Graph, ModelBuilder, run, schema, weights
from runtime_models import Pool, convert, inputs, normalize

from qcnn_tflite.errors import ModelError
from qcnn_tflite.graph import decoded_float_model
from qcnn_tflite.runtime import Interpreter

BACKENDS = ["ai_edge_litert", "tensorflow"]


@dataclass(frozen=True)
class Chain:
    """A layer and its pooling: LRN or a QConv of 3x3 positions."""

    layer: str
    pool: Pool
    size: tuple[int, int] = (9, 12)
    channels: int = 10
    kernel: int = 3
    seen: bool = False  # the layer's output is one of the graph's too
    read_twice: bool = False

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (1, *self.size, 6 if self.layer == "QConv" else self.channels)

    def add(self, g: Graph) -> None:
        x = g.tensor("x", self.input_shape)
        shape = (1, *self.size, self.channels)
        if self.layer == "QConv":
            w = g.tensor("w", data=weights((self.channels, self.kernel, self.kernel, 6)))
            b = g.tensor("b", data=weights((self.channels,), 1))
            y = g.conv(x, w, b, shape, padding="SAME", activation=1)
        else:
            y = normalize(g, x, shape, 2, 1.0, 0.3, 0.75)
        outputs = [self.pool.add(g, y)]
        if self.read_twice:
            again = g.tensor("again", shape)
            g.op(OPS.ADD, [y, y], [again], schema.AddOptionsT())
            outputs.append(again)
        g.ends([x], [*outputs, *([y] if self.seen else [])])

    def bytes(self) -> bytes:
        if self.layer == "QConv":
            return convert(self.add, d=2, K=16, scale=True)
        builder = ModelBuilder()
        self.add(builder.graph())
        return builder.bytes()


def answers(data: bytes, x: np.ndarray, **options: Any) -> tuple[list[np.ndarray], set[str]]:
    """Outputs by their place in the graph, and names of the tensors that delegates write."""
    interpreter = Interpreter(model_content=data, **options)
    (detail,) = interpreter.get_input_details()
    if tuple(detail["shape"]) != x.shape:
        interpreter.resize_tensor_input(detail["index"], x.shape)
    interpreter.allocate_tensors()
    for _ in range(2):
        interpreter.set_tensor(detail["index"], x)
        interpreter.invoke()
    names = {d["index"]: d["name"] for d in interpreter.get_tensor_details()}
    written = {
        names[i]
        for op in interpreter._get_ops_details()
        if op["op_name"] == "DELEGATE"
        for i in op["outputs"]
    }
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()], written


def expect_computed(chain: Chain, together: bool, backend: str = "ai_edge_litert") -> None:
    x = 3 * inputs(chain.input_shape)
    data = chain.bytes()
    # The same with the layer's output in sight: one after the other.
    (wanted, *_), apart = answers(replace(chain, seen=True).bytes(), x, backend=backend)
    middle = "norm" if chain.layer == "LRN" else "conv"
    assert middle in apart
    for threads in (1, 3):
        (actual, *_), written = answers(data, x, backend=backend, num_threads=threads)
        np.testing.assert_array_equal(actual, wanted)
        assert (middle not in written) == together
    float_model = decoded_float_model(data) if chain.layer == "QConv" else data
    stock = run(float_model, x)[0]
    assert np.abs(actual - stock).max() <= 5e-3 * np.abs(stock).max()


TOGETHER: dict[str, Chain] = {
    "AlexNet": Chain("LRN", Pool((3, 3), (2, 2))),
    "CNN-S": Chain("LRN", Pool((3, 3), (3, 3), pads=(0, 2, 0, 2))),
    "pads all around": Chain("LRN", Pool((3, 2), (1, 2), pads=(2, 1, 1, 3), pads_type="int64")),
    "SAME": Chain("LRN", Pool((3, 3), (2, 2), "SAME")),
    "gaps between windows": Chain("LRN", Pool((2, 1), (4, 3))),
    "one window": Chain("LRN", Pool((9, 12), (1, 1))),
    "VGG-16": Chain("QConv", Pool(), size=(14, 14), channels=33),
    "odd rows and columns dropped": Chain("QConv", Pool(), size=(9, 35)),
    "odd rows and columns kept": Chain("QConv", Pool(padding="SAME"), size=(35, 9)),
    "one column": Chain("QConv", Pool(padding="SAME"), size=(7, 1)),
}

APART: dict[str, Chain] = {
    "another window": Chain("QConv", Pool((3, 3), (2, 2))),
    "another stride": Chain("QConv", Pool((2, 2), (1, 1))),
    "a PAD behind a convolution": Chain("QConv", Pool(pads=(0, 1, 0, 1))),
    "1x1 convolution": Chain("QConv", Pool(), kernel=1),
    "an activation": Chain("LRN", Pool(activation=3)),
    "SAME behind a PAD": Chain("LRN", Pool((3, 3), (2, 2), "SAME", pads=(0, 1, 0, 1))),
    "a PAD of channels": Chain("LRN", Pool(pads=(0, 1, 0, 0), channel_pad=1)),
    "another reader": Chain("LRN", Pool(), read_twice=True),
    "another reader of a convolution": Chain("QConv", Pool(), read_twice=True),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", TOGETHER)
def test_together(case: str, backend: str) -> None:
    expect_computed(TOGETHER[case], True, backend)


@pytest.mark.parametrize("case", APART)
def test_apart(case: str) -> None:
    expect_computed(APART[case], False)


def test_the_reference_kernel_pools_no_convolution() -> None:
    x = inputs(TOGETHER["VGG-16"].input_shape)
    _, written = answers(TOGETHER["VGG-16"].bytes(), x, kernel="reference")
    assert "conv" in written


@pytest.mark.parametrize("case", ["CNN-S", "VGG-16", "SAME", "odd rows and columns kept"])
def test_follows_a_resized_input(case: str) -> None:
    chain = TOGETHER[case]
    x = 3 * inputs((3, 17, 10, chain.input_shape[3]))
    (actual,), _ = answers(chain.bytes(), x)
    (wanted, _), _ = answers(replace(chain, seen=True).bytes(), x)
    np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parametrize("case", ["AlexNet", "VGG-16"])
def test_a_window_that_does_not_fit_is_refused(case: str) -> None:
    chain = TOGETHER[case]
    interpreter = Interpreter(model_content=chain.bytes())
    (detail,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(detail["index"], (1, 1, 1, chain.input_shape[3]))
    with pytest.raises(ModelError, match="window of the max pooling behind it does not fit into"):
        interpreter.allocate_tensors()
