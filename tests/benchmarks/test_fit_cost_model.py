"""The cost model's fit finds what it was given, and its comparison names every layer."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import fit_cost_model, kernel_constants
from qcnn_tflite import cost_model, machine
from qcnn_tflite.coefficients import Coefficients
from qcnn_tflite.cost_geometry import ConvLayerShape, Target, conv_counts
from qcnn_tflite.cost_model import FcLayerShape

TARGET = Target(l1=48 << 10, l2=1 << 20, window=(4, 4, 4, 4, 2, 2), chunk_weights=(210, 210, 210))


def test_the_fit_finds_the_coefficients_that_made_the_times():
    truth = {"entry": 0.5, "lookup": 0.2, "finish": 0.1, "layer": 5000.0}
    layers = [
        x for x in fit_cost_model.training_layers().values() if isinstance(x[0], ConvLayerShape)
    ]
    counts = [conv_counts(*layer, TARGET) for layer in layers]
    times = [sum(truth[name] * count[name] for name in truth) for count in counts]
    found = fit_cost_model.fit(counts, times, truth)
    assert found == pytest.approx(truth, rel=0.01)


def test_chunk_weights_are_those_of_the_kernels():
    weights = kernel_constants.chunk_weights()
    document = json.loads(cost_model.COEFFICIENTS.path.read_text(encoding="utf-8"))
    for entries in document["kernels"].values():
        assert all(entry["chunk_weights"] == weights for entry in entries)


def test_networks_of_the_comparison_are_those_of_the_benchmark():
    layers = fit_cost_model.network_layers()
    assert len(layers) == 8 + 8 + 15
    assert layers["alexnet/conv2"] == (
        ConvLayerShape((27, 27), (27, 27), 96, 256, (5, 5), groups=2), 128, 8,
    )  # fmt: skip
    assert layers["vgg16/conv2_1"][1:] == (128, 6)
    assert layers["cnn_s/fc6"] == (FcLayerShape(1, 18432, 4096), 32, 4)
    assert layers["alexnet/fc8"] == (FcLayerShape(1, 4096, 1000), 16, 1)


def test_comparison_prints_predicted_beside_measured():
    times = dict.fromkeys(fit_cost_model.network_layers(), 2e6)
    lines = fit_cost_model.comparison("avx512_vnni", times)
    assert len(lines) == 2 + 31 + 3
    total = next(line for line in lines if line.split()[1] == "alexnet")
    assert total.split()[3] == "16.000"


def test_fit_is_not_thrown_off_by_counts_of_different_sizes():
    random = np.random.default_rng(0)
    counts = [
        {"a": float(random.integers(1, 9)), "b": float(random.integers(1, 9)) * 1e9}
        for _ in range(20)
    ]
    times = [3 * c["a"] + 2e-9 * c["b"] for c in counts]
    assert fit_cost_model.fit(counts, times, ("a", "b", "absent")) == pytest.approx(
        {"a": 3, "b": 2e-9}, rel=0.01
    )


def test_measuring_takes_the_fastest_of_all_rounds(tmp_path):
    program = tmp_path / "bench"
    program.write_text(
        "#!/bin/sh\n"
        f"echo run >> {tmp_path}/runs\n"
        f"fast=$((100 - $(wc -l < {tmp_path}/runs)))\n"
        'echo "{\\"benchmarks\\": [{\\"name\\": \\"alexnet/fc8/avx2/manual_time\\",'
        ' \\"min_ns\\": $fast}]}"\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    rounds = fit_cost_model._ROUNDS
    assert fit_cost_model.measure(program, "avx2", ["alexnet/fc8"]) == {"alexnet/fc8": 100 - rounds}
    with pytest.raises(SystemExit, match="did not measure avx2 on alexnet/fc7"):
        fit_cost_model.measure(program, "avx2", ["alexnet/fc7"])


def test_a_fitted_kernel_can_be_stored(tmp_path):
    times = dict.fromkeys(fit_cost_model.training_layers(), 1e5)
    model = fit_cost_model.fit_kernel("avx2", times, (48 << 10, 1 << 20))
    coefficients = Coefficients(tmp_path / "cost_model.json", "cost model")
    coefficients.store("avx2", model)
    assert coefficients.of("avx2") == model
    assert (model["machine"], model["cpu"]) == (machine.cpu_name(), machine.cpu_id())
