"""The network's output as the judge of one layer's weights."""

from __future__ import annotations

import numpy as np
import pytest
from small_network import float_model, images, logits

from qcnn_tflite.calibration.images import load_calibration
from qcnn_tflite.calibration.judge import OutputJudge
from qcnn_tflite.calibration.network import PairedNetwork
from qcnn_tflite.graph import extract, find_layers, layer_bias, layer_weights, read_model


@pytest.fixture(scope="module")
def graph():
    return read_model(float_model())


def whole(graph, replaced):
    """The network with layers exchanged, as one model."""
    subgraph = graph.subgraph
    ends = [int(subgraph.inputs[0])], [int(subgraph.outputs[0])]
    return extract(graph, *ends, 0, len(subgraph.operators), replaced)


@pytest.mark.parametrize("cache_limit", [1 << 30, 0])
def test_the_loss_is_the_divergence_of_the_whole_network(graph, cache_limit):
    data = images(21)
    layers = find_layers(graph)
    rng = np.random.default_rng(0)
    floats = logits(float_model(), data)
    calibration = load_calibration(data, None, graph.shape(int(graph.subgraph.inputs[0])))
    replaced = {}
    with PairedNetwork(graph, calibration, cache_limit=cache_limit, threads=1) as network:
        judge = OutputJudge(graph, network)
        for layer in layers:
            first = layer.op_index if layer.pad_op is None else layer.pad_op
            loss = judge.before(first, layer.op_index, replaced)
            weights, bias = layer_weights(graph, layer), layer_bias(graph, layer)
            if not replaced:
                assert loss(weights, bias) < 1e-6
            weights = weights * rng.uniform(0.7, 1.3, weights.shape).astype(np.float32)
            others = logits(whole(graph, {**replaced, layer.op_index: (weights, bias)}), data)
            expected = (np.exp(floats) * (floats - others)).sum(axis=1).mean()
            # The cached frontier is float16.
            assert loss(weights, bias) == pytest.approx(expected, rel=0.02)
            assert expected > 1e-4
            replaced[layer.op_index] = (weights, bias)


def test_outputs_that_are_no_probabilities_are_judged_by_their_relative_error(graph):
    layer = find_layers(graph)[-1]
    subgraph = graph.subgraph
    cut = extract(graph, [int(subgraph.inputs[0])], [layer.output], 0, layer.op_index + 1, {})
    part = read_model(cut)
    last = find_layers(part)[-1]
    calibration = load_calibration(images(9), None, part.shape(int(part.subgraph.inputs[0])))
    weights, bias = layer_weights(part, last), layer_bias(part, last)
    with PairedNetwork(part, calibration, cache_limit=0, threads=1) as network:
        judge = OutputJudge(part, network)
        loss = judge.before(last.op_index, last.op_index, {})
        assert loss(weights, bias) == 0
        # Half the response is a quarter of its power away.
        assert loss(weights / 2, None if bias is None else bias / 2) == pytest.approx(
            0.25, rel=1e-4
        )
