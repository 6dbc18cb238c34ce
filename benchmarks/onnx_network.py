"""Writes a named network as ONNX, weights equal: for runtimes that do not read its `.tflite`."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.subjects import Subject
from qcnn_tflite.errors import ModelError
from qcnn_tflite.models.networks import Conv, Dense, Norm, Pool, pooled_size

# The oldest that has every operator as it is used here.
_OPSET = 13


def to_onnx(what: Subject) -> onnx.ModelProto:
    """The network with an NCHW input ``image`` and the output ``prob``.

    Raises
    ------
    ModelError
        If the network has layers of other kinds than AlexNet, CNN-S and VGG have.
    """
    graph = _Graph(what.network.input_shape)
    for step in what.network.layers:
        if isinstance(step, Conv):
            graph.convolution(step, *what.weights.take(step.name))
        elif isinstance(step, Norm):
            graph.add("LRN", size=step.size, alpha=step.alpha, beta=step.beta, bias=step.k)
        elif isinstance(step, Pool):
            graph.max_pool(step)
        elif isinstance(step, Dense):
            relu = step.name != what.network.last
            graph.fully_connected(step.name, *what.weights.take(step.name), relu=relu)
        else:
            raise ModelError(f"{what.name} is not written as ONNX: it has a {type(step).__name__}")
    graph.add("Softmax", axis=-1)
    return graph.finish(what.name)


class _Graph:
    """A chain of nodes; `at` is the value at its end and `shape` its (H, W, C), or (features,)."""

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        height, width, channels = input_shape
        self.input = [1, channels, height, width]
        self.shape: tuple[int, ...] = input_shape
        self.at = "image"
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *constants: str, name: str = "", **attributes: Any) -> None:
        output = name or f"{operator.lower()}{len(self.nodes)}"
        node = helper.make_node(operator, [self.at, *constants], [output], output, **attributes)
        self.nodes.append(node)
        self.at = output

    def convolution(
        self, step: Conv, kernel: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> None:
        constants = [
            self._constant(f"{step.name}/kernel", kernel.transpose(3, 2, 0, 1)),
            self._constant(f"{step.name}/bias", bias),
        ]
        self.add(
            "Conv",
            *constants,
            name=step.name,
            kernel_shape=[step.kernel] * 2,
            strides=[step.stride] * 2,
            pads=[step.pad] * 4,
            group=step.groups,
        )
        self.add("Relu")
        sides = ((n + 2 * step.pad - step.kernel) // step.stride + 1 for n in self.shape[:2])
        self.shape = (*sides, step.filters)

    def max_pool(self, step: Pool) -> None:
        counts = [pooled_size(n, step) for n in self.shape[:2]]
        missing = [
            max(0, (count - 1) * step.stride + step.size - n)
            for count, n in zip(counts, self.shape, strict=False)
        ]
        self.add(
            "MaxPool",
            kernel_shape=[step.size] * 2,
            strides=[step.stride] * 2,
            pads=[0, 0, *missing],
        )
        self.shape = (*counts, self.shape[2])

    def fully_connected(
        self, name: str, kernel: NDArray[np.float32], bias: NDArray[np.float32], *, relu: bool
    ) -> None:
        if len(self.shape) == 3:
            # Its inputs are counted in HWC order, the values here lie in CHW order.
            outputs = kernel.shape[1]
            kernel = kernel.reshape(*self.shape, outputs).transpose(2, 0, 1, 3)
            kernel = kernel.reshape(-1, outputs)
            self.add("Flatten")
        constants = [
            self._constant(f"{name}/kernel", kernel.T),
            self._constant(f"{name}/bias", bias),
        ]
        self.add("Gemm", *constants, name=name, transB=1)
        self.shape = (len(bias),)
        if relu:
            self.add("Relu")

    def finish(self, name: str) -> onnx.ModelProto:
        self.nodes[-1].output[0] = "prob"
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, self.input)
        output = helper.make_tensor_value_info("prob", TensorProto.FLOAT, [1, *self.shape])
        graph = helper.make_graph(self.nodes, name, [image], [output], self.constants)
        opset = helper.make_opsetid("", _OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=8)

    def _constant(self, name: str, values: NDArray[np.float32]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name
