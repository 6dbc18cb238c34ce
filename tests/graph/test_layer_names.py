"""Layer names from tensor names that real converters write."""

from __future__ import annotations

import pytest

from qcnn_tflite.graph.names import layer_names


@pytest.mark.parametrize(
    ("candidates", "names"),
    [
        pytest.param(
            [
                ["functional_1/conv1_1/convolution", "functional_1/conv1_1/Relu;functional_1/x/y"],
                ["functional_1/conv1_1_1/convolution", "x"],
                ["functional_1/fc8_1/MatMul", "StatefulPartitionedCall_1:0"],
            ],
            ["conv1", "conv1_1", "fc8"],
            id="keras 3 numbers every scope anew",
        ),
        pytest.param(
            [["model/conv2d_1/Conv2D", "a"], ["model/conv2d_2/Conv2D", "b"]],
            ["conv2d_1", "conv2d_2"],
            id="keras 2",
        ),
        pytest.param(
            [["arith.constant", "functional_1/conv_1/Relu"], ["convolution", "convolution1"]],
            ["conv", "convolution1"],
            id="anonymous weights: the output's name",
        ),
        pytest.param(
            [["MobilenetV1/Conv2d_0/weights", "o"], ["MobilenetV1/Conv2d_1/weights/read", "o"]],
            ["Conv2d_0", "Conv2d_1"],
            id="slim",
        ),
        pytest.param(
            [["a/box/weights", ""], ["b/box/weights", ""]],
            ["a/box", "b/box"],
            id="as much of the path as tells them apart",
        ),
        pytest.param(
            [["conv/weights", ""], ["conv/weights", ""], ["conv_2/weights", ""]],
            ["conv", "conv_2", "conv_2_2"],
            id="equal paths are numbered, never twice the same",
        ),
        pytest.param(
            [["functional_1/tok_1/Tensordot/MatMul", "functional_1/tok_1/Tensordot"]],
            ["tok"],
            id="a dense layer on more than two dimensions",
        ),
        pytest.param([["", ""]], ["layer"], id="no names at all"),
    ],
)
def test_names(candidates: list[list[str]], names: list[str]) -> None:
    assert layer_names(candidates) == names
    assert len(set(names)) == len(names)
