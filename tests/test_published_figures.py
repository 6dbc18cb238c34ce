"""Sizes and speed-ups of the named networks: the formulas of the paper, and what it prints."""

from __future__ import annotations

import math

import pytest

import qcnn_tflite
from qcnn_tflite import models
from qcnn_tflite.models.networks import Conv, Dense
from qcnn_tflite.published import PAPER, paper_notes

# Speed-up, and the size in MiB where the paper prints one (Wu et al. 2016).
PRINTED = {"alexnet": (4.15, 12.60), "cnn_s": (5.78, 20.13), "vgg16": (4.06, None)}


def formulas(name: str) -> dict[str, tuple[int, int, int, int]]:
    """Of every convolution and fully-connected layer at the published settings.

    Operations before and after, bytes before and after, biases counted (section 3.3 of the paper).
    """
    network = models.get(name).network
    found = {}
    for step, shape, output in network.trace():
        if isinstance(step, Conv):
            wide = 6 if name == "vgg16" else 8
            # A 1x1 convolution has settings of its own.
            wanted, K = (4, 128) if step.kernel == 1 else (wide, 128)
            inputs, taps, groups = shape[2], step.kernel**2, step.groups
            rows, positions = shape[0] * shape[1], output[0] * output[1]
            outputs = step.filters
        elif isinstance(step, Dense):
            wanted, K = (1, 16) if step.name == network.last else (4, 32)
            inputs, taps, groups, rows, positions = math.prod(shape), 1, 1, 1, 1
            outputs = step.units or network.classes
        else:
            continue
        d = min(wanted, inputs // groups)
        subspaces = -(-(inputs // groups) // d)
        bits = math.ceil(math.log2(K))
        found[step.name] = (
            positions * outputs * taps * inputs // groups,
            rows * inputs * K + positions * outputs * taps * subspaces,
            4 * outputs * taps * inputs // groups + 4 * outputs,
            # Every subspace's codes begin on a byte.
            4 * subspaces * K * d + subspaces * -(-outputs * taps * bits // 8) + 4 * outputs,
        )
    return found


@pytest.mark.parametrize("name", PRINTED)
def test_formulas_give_what_the_paper_prints(name):
    layers = formulas(name).values()
    speedup = sum(x[0] for x in layers) / sum(x[1] for x in layers)
    size = sum(x[3] for x in layers) / 2**20
    printed_speedup, printed_size = PRINTED[name]
    assert speedup == pytest.approx(printed_speedup, rel=0.01)
    assert PAPER[name].speedup == printed_speedup
    if printed_size:
        assert size == pytest.approx(printed_size, rel=0.01)


def test_alexnet_to_the_last_operation():
    layers = formulas("alexnet").values()
    assert sum(x[0] for x in layers) == 724_406_816
    assert sum(x[1] for x in layers) == 174_299_872


@pytest.mark.slow
@pytest.mark.parametrize("name", models.names())
def test_every_named_model_converts(name):
    """With random weights at the published settings: each layer, and the files as a whole."""
    learning = {"conv_scale": [0], "fc_scale": [0]}  # the paper has no output scales
    result = qcnn_tflite.convert(name, weights="random", config={"learning": learning})
    expected = formulas(name)
    quantized = {x.name: x for x in result.report.layers if x.fate == "quantized"}
    assert quantized
    for layer in quantized.values():
        if layer.reason:  # settings that were changed, because they would not have paid
            continue
        before, after, bytes_before, bytes_after = expected[layer.name]
        assert (layer.ops_before, layer.ops_after) == (before, after), layer.name
        assert (layer.bytes_before, layer.bytes_after) == (bytes_before, bytes_after), layer.name
    # The rest of a file: operators, names, alignment.
    network = models.get(name).network
    assert 0 < len(result.float_model) - 4 * network.parameters() < 64_000
    constants = sum(x.bytes_after for x in result.report.layers)
    assert 0 < len(result.model) - constants < 64_000
    report = str(result.report)
    if name in PAPER:
        assert set(quantized) == set(expected)
        assert f"{PAPER[name].compression:.2f}x" in report
        totals = [sum(x[i] for x in expected.values()) for i in range(4)]
        assert result.report.theoretical_speedup == pytest.approx(totals[0] / totals[1])
        assert len(result.float_model) / len(result.model) == pytest.approx(
            totals[2] / totals[3], rel=0.005
        )
    else:
        assert "the paper prints" not in report


def test_notes():
    assert "4.15x and a compression of 18.76x" in paper_notes("alexnet", "paper")[0]
    assert paper_notes("alexnet", "accurate") == []
    assert paper_notes("resnet50", "paper") == []
