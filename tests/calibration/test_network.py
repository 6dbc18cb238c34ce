"""The float network and the partly quantized one, run piece by piece."""

from __future__ import annotations

import numpy as np
import pytest
from small_network import float_model, images

from qcnn_tflite.calibration.collect import collect_statistics
from qcnn_tflite.calibration.images import load_calibration
from qcnn_tflite.calibration.network import PairedNetwork
from qcnn_tflite.calibration.patches import gather_patches, output_size, same_padding
from qcnn_tflite.errors import DataError
from qcnn_tflite.graph import extract, find_layers, layer_bias, layer_weights, read_model
from qcnn_tflite.pq import BlockLayout
from qcnn_tflite.runtime.backend import float_interpreter


@pytest.fixture(scope="module")
def graph():
    return read_model(float_model())


def calibration(count, graph):
    return load_calibration(images(count), None, graph.shape(int(graph.subgraph.inputs[0])))


def tensor_values(graph, tensor, op, replaced, data):
    """Straight through from the input, one image at a time."""
    source = int(graph.subgraph.inputs[0])
    if tensor == source:
        return data
    model = extract(graph, [source], [tensor], 0, op, replaced)
    interpreter = float_interpreter(model, 1)
    interpreter.allocate_tensors()
    out = []
    for image in data:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        out.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    return np.concatenate(out)


@pytest.mark.parametrize("cache_limit", [1 << 30, 0, 19 * 20 * 20 * 3 * 2])
def test_both_paths_see_what_whole_networks_compute(graph, cache_limit):
    """With a cache, without one, and with one that only the first frontier fits."""
    data = images(19)  # no multiple of the batch
    layers = find_layers(graph)
    replaced = {}
    with PairedNetwork(
        graph, calibration(19, graph), cache_limit=cache_limit, threads=1
    ) as network:
        for layer in layers:
            op = layer.op_index if layer.pad_op is None else layer.pad_op
            network.advance(op, replaced)
            floats, quantized = [], []
            for _, (a,), (b,) in network.stream(op, [layer.input], replaced):
                floats.append(a)
                quantized.append(b)
            for got, changes in ((floats, {}), (quantized, replaced)):
                expected = tensor_values(graph, layer.input, op, changes, data)
                actual = np.concatenate(got).reshape(expected.shape)
                scale = np.abs(expected).max()
                np.testing.assert_allclose(actual, expected, atol=4e-3 * scale)
            weights = layer_weights(graph, layer)
            noise = np.random.default_rng(layer.op_index).normal(size=weights.shape)
            changed = (weights + 0.1 * weights.std() * noise).astype(np.float32)
            replaced[layer.op_index] = (changed, layer_bias(graph, layer))
        assert np.abs(np.concatenate(floats) - np.concatenate(quantized)).max() > 0.01


def test_the_cache_goes_with_the_network(graph):
    with PairedNetwork(graph, calibration(5, graph), cache_limit=1 << 30, threads=1) as network:
        network.advance(find_layers(graph)[2].op_index, {})
        folder = network._folder.name
        import os

        # Equal on both paths: kept once.
        assert len([name for name in os.listdir(folder) if name != "lock"]) == 1
    assert not os.path.exists(folder)


def test_statistics_are_those_of_all_patches(graph):
    """Every position taken: against the layer's responses from the interpreter itself."""
    layer = next(n for n in find_layers(graph) if n.name == "conv2")
    weights = layer_weights(graph, layer)
    layout = BlockLayout(32, 12, (3, 3), 2, 4)
    held_out = np.zeros(12, bool)
    held_out[[2, 7]] = True
    with PairedNetwork(graph, calibration(12, graph), cache_limit=1 << 30, threads=1) as network:
        train, judge = collect_statistics(
            network, layer, weights, layout, {}, held_out=held_out,
            positions_per_image=10**6, random_state=0,
        )  # fmt: skip
    data = images(12)
    positions = layer.positions
    assert (train.count, judge.count) == (10 * positions, 2 * positions)
    # The responses before the ReLU, from a copy of the layer without bias, shifted to be positive.
    outputs = tensor_values(
        graph, layer.output, layer.op_index + 1,
        {layer.op_index: (weights, np.full(32, 100, np.float32))}, data,
    ).reshape(12, positions, 2, 16) - 100  # fmt: skip
    for statistics, chosen in ((train, ~held_out), (judge, held_out)):
        mean = outputs[chosen].reshape(-1, 2, 16).mean(axis=0)
        np.testing.assert_allclose(statistics.target_mean, mean, atol=5e-3)
        assert statistics.relative_error(layout.split(weights)) < 1e-5


def test_a_model_with_two_inputs_is_refused():
    graph = read_model(float_model())
    graph.subgraph.inputs = np.array([0, 0], np.int32)
    with pytest.raises(DataError, match="one input"):
        PairedNetwork(graph, calibration(1, read_model(float_model())), cache_limit=0, threads=1)


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [((3, 3), (1, 1), (1, 1)), ((2, 5), (2, 3), (1, 1)), ((3, 2), (1, 2), (2, 3))]
)  # fmt: skip
def test_patches_against_a_loop(kernel, stride, dilation):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 9, 11, 3)).astype(np.float32)
    pads = (
        *same_padding(9, kernel[0], stride[0], dilation[0]),
        *same_padding(11, kernel[1], stride[1], dilation[1]),
    )
    rows = output_size(9, kernel[0], stride[0], dilation[0], *pads[:2])
    columns = output_size(11, kernel[1], stride[1], dilation[1], *pads[2:])
    assert (rows, columns) == (-(-9 // stride[0]), -(-11 // stride[1]))
    positions = np.stack([rng.permutation(rows * columns)[:7] for _ in range(2)])
    patches = gather_patches(
        x, positions, kernel=kernel, stride=stride, dilation=dilation, pads=pads
    )
    for n in range(2):
        for i, position in enumerate(positions[n]):
            for p, (ky, kx) in enumerate(np.ndindex(*kernel)):
                y = position // columns * stride[0] + ky * dilation[0] - pads[0]
                z = position % columns * stride[1] + kx * dilation[1] - pads[2]
                inside = 0 <= y < 9 and 0 <= z < 11
                expected = x[n, y, z] if inside else np.zeros(3)
                np.testing.assert_array_equal(patches[n * 7 + i, p], expected)
