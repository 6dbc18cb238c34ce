"""Named networks: published sizes, and every operator against arithmetic written out."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from qcnn_tflite import models
from qcnn_tflite.errors import ModelError
from qcnn_tflite.graph import find_layers, read_metadata, read_model
from qcnn_tflite.models.assemble import assemble
from qcnn_tflite.models.networks import (
    SAME,
    Add,
    Conv,
    Dense,
    Depthwise,
    GlobalPool,
    Network,
    Norm,
    Pool,
    pooled_size,
)
from qcnn_tflite.models.weights import WeightArrays, random_weights


def run(data: bytes, inputs: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=data)
    index = interpreter.get_input_details()[0]["index"]
    if len(inputs) > 1:
        interpreter.resize_tensor_input(index, inputs.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, inputs)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def operators(data: bytes) -> list[str]:
    interpreter = Interpreter(model_content=data)
    return [op["op_name"] for op in interpreter._get_ops_details() if op["op_name"] != "DELEGATE"]


def oracle(network: Network, weights: WeightArrays, image: np.ndarray) -> np.ndarray:
    """The network in float64, straight from the definitions of Caffe."""
    x = image.astype(np.float64)
    named: dict[str, np.ndarray] = {}
    pools = 0
    for step in network.layers:
        if isinstance(step, Conv):
            kernel, bias = weights.take(step.name)
            x = named[step.input] if step.input else x
            x = activated(convolve(x, kernel.astype(np.float64), step) + bias, step.activation)
        elif isinstance(step, Depthwise):
            kernel, bias = weights.take(step.name)
            alike = Conv("", x.shape[2], step.kernel, step.stride, SAME, groups=x.shape[2])
            diagonal = kernel.transpose(0, 1, 3, 2).astype(np.float64)
            x = activated(convolve(x, diagonal, alike) + bias, "relu6")
        elif isinstance(step, Add):
            x = activated(x + named[step.other], step.activation)
        elif isinstance(step, GlobalPool):
            x = x.mean((0, 1))
        elif isinstance(step, Norm):
            half, squares = step.size // 2, x**2
            sums = np.stack(
                [squares[..., max(0, c - half) : c + half + 1].sum(-1) for c in range(x.shape[2])],
                axis=-1,
            )
            x = x * (step.k + step.alpha / step.size * sums) ** -step.beta
        elif isinstance(step, Pool):
            edge = ((step.pad, step.pad), (step.pad, step.pad), (0, 0))
            x = pool(np.pad(x, edge, constant_values=-np.inf), step)
            pools += 1
            named[f"pool{pools}"] = x
        else:
            kernel, bias = weights.take(step.name)
            x = x.reshape(-1) @ kernel + bias
            if step.name != network.last:
                x = np.maximum(x, 0)
        if isinstance(step, (Conv, Add)):
            named[step.name] = x
    powers = np.exp(x - x.max())
    return powers / powers.sum()


def activated(x: np.ndarray, activation: str) -> np.ndarray:
    high = {"none": np.inf, "relu": np.inf, "relu6": 6}[activation]
    return np.clip(x, -np.inf if activation == "none" else 0, high)


def convolve(x: np.ndarray, kernel: np.ndarray, step: Conv) -> np.ndarray:
    pads = [(step.pad, step.pad)] * 2
    if step.pad == SAME:  # the odd row after
        totals = [
            max((-(-n // step.stride) - 1) * step.stride + step.kernel - n, 0) for n in x.shape[:2]
        ]
        pads = [(t // 2, t - t // 2) for t in totals]
    x = np.pad(x, (*pads, (0, 0)))
    size = [(n - step.kernel) // step.stride + 1 for n in x.shape[:2]]
    depth, width = kernel.shape[2], step.filters // step.groups
    out = np.empty((*size, step.filters))
    for group in range(step.groups):
        outputs = slice(group * width, (group + 1) * width)
        part = x[..., group * depth : (group + 1) * depth]
        for i in range(size[0]):
            for j in range(size[1]):
                top, left = i * step.stride, j * step.stride
                patch = part[top : top + step.kernel, left : left + step.kernel]
                out[i, j, outputs] = np.tensordot(patch, kernel[..., outputs], 3)
    return out


def pool(x: np.ndarray, step: Pool) -> np.ndarray:
    rows = []
    top = 0
    while top < len(x) if step.ceil else top + step.size <= len(x):
        row = []
        left = 0
        while left < x.shape[1] if step.ceil else left + step.size <= x.shape[1]:
            row.append(x[top : top + step.size, left : left + step.size].max((0, 1)))
            if left + step.size >= x.shape[1]:
                break
            left += step.stride
        rows.append(row)
        if top + step.size >= len(x):
            break
        top += step.stride
    return np.array(rows)


NETWORKS = {
    "groups_same_lrn": (
        Conv("conv1", 12, 5, pad=2, groups=3), Norm(), Pool(), Conv("conv2", 8, 3, groups=2),
        Dense("fc6", 7), Dense("fc8"),
    ),
    "stride_and_padding": (
        Conv("conv1", 6, 5, stride=2, pad=1), Conv("conv2", 6, 5, pad=1), Dense("fc8"),
    ),
    "wide_lrn": (Conv("conv1", 10, 3), Norm(3, alpha=0.5, beta=0.6, k=2.0), Dense("fc8")),
    "ceil_pool_same": (Conv("conv1", 4, 3), Pool(2, 2, ceil=True), Dense("fc8")),
    "ceil_pool_exact": (Conv("conv1", 4, 3), Pool(3, 2, ceil=True), Dense("fc8")),
    "ceil_pool_padded": (Conv("conv1", 4, 2), Pool(3, 3, ceil=True), Dense("fc8")),
    "ceil_pool_even": (Conv("conv1", 4, 2), Pool(3, 2, ceil=True), Dense("fc8")),
    "floor_pool": (Conv("conv1", 4, 2), Pool(3, 2), Dense("fc8")),
    "padded_pool": (Conv("conv1", 4, 3), Pool(pad=1), Dense("fc8")),
    "global_pool": (Conv("conv1", 40, 3), GlobalPool(), Dense("fc8")),
    "separable": (
        Conv("conv0", 5, 3, 2, pad=SAME, activation="relu6"), Depthwise("deep1", 3, 2),
        Conv("point1", 9, 1, activation="none"), Depthwise("deep2", 5), Dense("fc8"),
    ),
    "residual": (
        Conv("conv1", 8, 3, pad=1), Pool(pad=1),
        Conv("a1", 4, 1, 2, input="pool1"), Conv("a2", 8, 3, pad=1, activation="none"),
        Conv("a3", 8, 1, 2, activation="none", input="pool1"), Add("a", "a2", activation="relu"),
        Conv("b1", 8, 3, pad=1, activation="none"), Add("b", "a"), Dense("fc8"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("side", [13, 14])
def test_small_networks_agree_with_the_definitions(name, side):
    network = Network((side, side, 6), NETWORKS[name], classes=5)
    weights = biased(network)
    data = assemble(network, weights, name="small")
    images = np.random.default_rng(1).standard_normal((3, side, side, 6)).astype(np.float32)
    expected = np.stack([oracle(network, weights, image) for image in images])
    assert expected.std() > 0.01  # a softmax that says nothing would hide every error
    np.testing.assert_allclose(run(data, images), expected, atol=2e-5)
    np.testing.assert_allclose(run(data, images[:1]), expected[:1], atol=2e-5)


def biased(network: Network) -> WeightArrays:
    """Random weights with biases, which He's initialisation leaves at 0."""
    kernels = random_weights(network, 3)
    rng = np.random.default_rng(4)
    arrays = {
        (name, part): array
        for name in network.weight_shapes()
        for part, array in zip(("kernel", "bias"), kernels.take(name), strict=True)
    }
    for (_, part), array in arrays.items():
        if part == "bias":
            array += rng.standard_normal(array.shape).astype(np.float32)
    return WeightArrays(network, arrays, lambda layer, part: arrays[layer, part])


def test_pooled_size_is_caffes():
    assert pooled_size(109, Pool(3, 3, ceil=True)) == 37
    assert pooled_size(35, Pool(2, 2, ceil=True)) == 18
    assert pooled_size(18, Pool(3, 3, ceil=True)) == 6
    assert pooled_size(55, Pool(3, 2, ceil=True)) == pooled_size(55, Pool(3, 2)) == 27
    # The window that would begin behind the image does not count.
    assert pooled_size(7, Pool(1, 3, ceil=True)) == 3
    assert pooled_size(6, Pool(1, 3, ceil=True)) == 2


# Parameters as published: Caffe's model zoo, Chatfield et al., Simonyan and Zisserman, torchvision.
@pytest.mark.parametrize(
    ("name", "parameters", "flattened"),
    [
        ("alexnet", 60_965_224, 9216),
        ("caffenet", 60_965_224, 9216),
        ("cnn_s", 102_908_520, 18432),
        ("vgg16", 138_357_544, 25088),
        ("alexnet_owt", 61_100_840, 9216),
        ("fashion_alexnet", 2_012_170, 288),
        # Without the four numbers of batch normalization per channel, which are folded: published counts
        # are 25,636,712, 4,253,864 (without the background class) and 4,652,008 (mean and variance not counted).
        ("resnet50", 25_636_712 - 4 * 26_560, 2048),
        ("mobilenet_v1", 4_253_864 - 4 * 10_944 + 10_944 + 1025, 1024),
        ("efficientnet_lite0", 4_652_008 - 2 * 21_008 + 21_008, 1280),
    ],
)
def test_sizes_as_published(name, parameters, flattened):
    network = models.get(name).network
    assert network.parameters() == parameters
    shapes = network.weight_shapes()
    first = next(shape for shape in shapes.values() if len(shape) == 2)
    assert first[0] == flattened


def test_alexnet_is_made_of_plain_operators():
    model = models.load_float("alexnet", weights="random")
    assert operators(model.data) == [
        "CONV_2D", "LOCAL_RESPONSE_NORMALIZATION", "MAX_POOL_2D",
        "CONV_2D", "LOCAL_RESPONSE_NORMALIZATION", "MAX_POOL_2D",
        "CONV_2D", "CONV_2D", "CONV_2D", "MAX_POOL_2D",
        "RESHAPE", "FULLY_CONNECTED", "FULLY_CONNECTED", "FULLY_CONNECTED", "SOFTMAX",
    ]  # fmt: skip
    layers = {layer.name: layer for layer in find_layers(read_model(model.data))}
    assert list(layers) == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    assert [layer.groups for layer in layers.values()] == [1, 2, 1, 2, 2, 1, 1, 1]
    assert layers["conv2"].weight_shape == (256, 5, 5, 48)
    assert not any(layer.ineligible for layer in layers.values())
    assert 0 < len(model.data) - 4 * 60_965_224 < 16_000
    image = np.zeros((1, 227, 227, 3), np.float32)
    assert run(model.data, image).sum() == pytest.approx(1)
    assert model.softmax_applied


def test_metadata_travel_with_the_model():
    model = models.load_float("default")
    metadata = read_metadata(read_model(model.data))
    assert metadata["input"] == models.get("default").preprocessing.to_metadata()
    assert metadata["output"]["labels"][9] == "ankle boot"
    assert metadata["output"]["softmax_applied"] is True
    assert "MIT" in metadata["licence"]


def test_names():
    assert models.names()[0] == models.DEFAULT == models.get("default").name
    assert {"alexnet", "alexnet_owt", "cnn_s", "vgg16"} < set(models.names())
    with pytest.raises(
        ModelError, match=r"'vgg-16'; did you mean vgg16\? There are fashion_alexnet"
    ):
        models.get("vgg-16")
    for name in models.names():
        model = models.get(name)
        assert model.preprocessing.output_shape == model.network.input_shape
