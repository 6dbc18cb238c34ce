"""Predicted times: counts by hand, and the report."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from small_network import float_model

import qcnn_tflite
from qcnn_tflite import coefficients, cost_geometry, cost_model
from qcnn_tflite.cost_geometry import ConvLayerShape, Target, conv_counts
from qcnn_tflite.cost_model import FcLayerShape, fc_counts, predict_ms
from qcnn_tflite.errors import ConfigError, RuntimeMissingError
from qcnn_tflite.graph import find_layers, read_model
from qcnn_tflite.plan import plan_layers
from qcnn_tflite.prediction import prediction_kernel, with_prediction
from qcnn_tflite.report import ConversionReport, LayerReport

TARGET = Target(l1=48 << 10, l2=1 << 20, window=(4, 4, 4, 4, 2, 2), chunk_weights=(210, 210, 210))
# One column of 4 rows: 30 outputs and 2 more lanes for the kernel's width.
WIDE = ConvLayerShape((4, 30), (4, 30), 16, 5, kernel=(3, 3))
FC_NAMES = {"entry", "entry_pair", "table", "far", "quantize", "finish", "layer"} | {
    f"lookup_{entries}" for entries in (16, 32, 64, 128, 256)
}


def test_counts_of_a_convolution():
    counts = conv_counts(WIDE, K=16, d=8, target=TARGET)
    assert counts["entry"] == (4 + 2) * 2 * 16  # table rows, subspaces, codewords
    assert counts["entry_pair"] == 4 * counts["entry"]
    assert counts["lookup"] == 4 * 5 * 2 * 9  # rows, outputs, subspaces, taps
    assert counts["code"] == counts["lookup"] / 4  # once for the four rows of the window
    assert counts["finish"] == 4 * 32 * 5
    assert counts["flush"] == 0
    assert counts["energy"] == 4 * 30 * 16


def test_counts_of_groups_and_chunks():
    counts = conv_counts(WIDE, K=16, d=8, target=TARGET)
    both = conv_counts(
        replace(WIDE, in_channels=32, out_channels=10, groups=2), K=16, d=8, target=TARGET
    )
    for name in ("entry", "lookup", "finish"):
        assert both[name] == 2 * counts[name]
    # 8 subspaces of 9 lookups share a scale at most: 210 / sqrt(8) lookups.
    deep = conv_counts(replace(WIDE, in_channels=16 * 8), K=16, d=8, target=TARGET)
    assert deep["flush"] == deep["finish"]


@pytest.mark.parametrize(("kernel", "chunks"), [(3, 2), (5, 16), (1, 4)])
def test_chunks_by_the_size_of_the_kernel(kernel, chunks):
    target = replace(TARGET, chunk_weights=(210, 85, 58))
    channels = 8 * (64 if kernel == 1 else 16)
    shape = replace(WIDE, in_channels=channels, kernel=(kernel, kernel))
    counts = conv_counts(shape, K=16, d=8, target=target)
    assert counts["flush"] == (chunks - 1) * counts["finish"]


def test_a_strided_convolution_is_the_sum_of_its_phases():
    shape = ConvLayerShape((227, 227), (55, 55), 3, 96, (11, 11), (4, 4))
    counts = conv_counts(shape, K=128, d=3, target=TARGET)
    rows = counts["lookup"] / (96 * 121)
    assert rows >= 55 * 55 / 32
    assert rows == int(rows)


def test_positions_of_a_1x1_convolution_fill_the_lanes():
    shape = ConvLayerShape((14, 14), (14, 14), 512, 512)
    counts = conv_counts(shape, K=128, d=4, target=TARGET)
    assert counts["finish"] == -(-14 * 14 // 32) * 32 * 512
    assert counts["patch"] == 0


def test_counts_of_a_fully_connected_layer():
    counts = fc_counts(FcLayerShape(1, 4096, 1000), K=32, d=4, target=TARGET)
    assert counts["lookup_32"] == 1024 * 1024  # outputs in blocks of 256
    assert counts["entry"] == 1024 * 32
    assert counts["far"] == 0
    merged = fc_counts(FcLayerShape(1, 4096, 1000), K=4, d=1, target=TARGET)
    assert merged == fc_counts(FcLayerShape(1, 4096, 1000), K=16, d=2, target=TARGET)
    large = fc_counts(FcLayerShape(1, 25088, 4096), K=256, d=4, target=TARGET)
    assert large["far"] == 6272 * 4096 - TARGET.l2


@pytest.mark.parametrize("kernel", cost_model.kernel_names())
def test_more_work_takes_longer(kernel):
    conv = ConvLayerShape((28, 28), (28, 28), 128, 256, (3, 3))
    base = predict_ms(conv, 128, 8, kernel)
    assert 0 < base < 1000
    assert predict_ms(replace(conv, out_channels=512), 128, 8, kernel) > base
    assert predict_ms(conv, 256, 8, kernel) > base
    assert predict_ms(conv, 128, 4, kernel) > base
    assert predict_ms(conv, 128, 8, kernel, batch=3) == pytest.approx(3 * base)
    fc = FcLayerShape(1, 4096, 4096)
    one = predict_ms(fc, 32, 4, kernel)
    assert predict_ms(replace(fc, rows=4), 32, 4, kernel) == pytest.approx(4 * one)
    many = predict_ms(replace(fc, rows=256), 256, 4, kernel)  # a 1x1 convolution
    assert many > predict_ms(replace(fc, rows=64), 256, 4, kernel)


def test_coefficients_are_complete_and_not_negative():
    document = json.loads(cost_model.COEFFICIENTS.path.read_text(encoding="utf-8"))
    assert document["format"] == coefficients.FORMAT
    assert "avx512_vnni" in document["kernels"]
    conv = set(conv_counts(WIDE, K=16, d=8, target=TARGET))
    for model in (model for models in document["kernels"].values() for model in models):
        assert model["machine"] and model["date"] and model["source"]
        assert set(model["conv"]) <= conv
        assert set(model["fc"]) <= FC_NAMES
        assert min([*model["conv"].values(), *model["fc"].values()]) > 0
        assert len(model["window"]) == 6


def test_a_kernel_without_coefficients():
    with pytest.raises(ConfigError, match="no cost model of the kernel 'quantum'"):
        predict_ms(WIDE, 16, 8, "quantum")


def test_kernel_of_the_prediction(monkeypatch):
    assert prediction_kernel("avx2") == "avx2"
    with pytest.raises(ConfigError, match="'quantum' cannot be predicted; there is a cost model"):
        prediction_kernel("quantum")
    monkeypatch.setattr("qcnn_tflite.runtime.selected_kernel", lambda: "avx2")
    assert prediction_kernel() == "avx2"
    monkeypatch.setattr("qcnn_tflite.runtime.selected_kernel", lambda: "reference")
    assert prediction_kernel() is None

    def missing() -> str:
        raise RuntimeMissingError("none")

    monkeypatch.setattr("qcnn_tflite.runtime.selected_kernel", missing)
    assert prediction_kernel() is None


def test_layers_of_a_model_are_predicted():
    layers = find_layers(read_model(float_model()))
    config = qcnn_tflite.Config.load({"preset": "paper", "min_weights": 1000})
    planned, kept = plan_layers(layers, config, scales=True)
    for plan in planned:
        report = LayerReport("x", "conv", (1,), "quantized", M=2, K=16, d=4)
        predicted = with_prediction(report, plan.layer, "avx2").predicted_ms
        assert predicted is not None and 0 < predicted < 10
    unknown = replace(planned[0].layer, input_shape=(1, -1, -1, 8))
    if planned[0].layer.kind != "fc":
        assert with_prediction(report, unknown, "avx2").predicted_ms is None
    assert with_prediction(kept[0], layers[0], "avx2").predicted_ms is None


def test_the_report_has_predicted_times():
    quantized = LayerReport(
        "conv", "conv", (8, 3, 3, 8), "quantized", M=1, K=16, d=8, predicted_ms=0.25
    )
    kept = LayerReport("tiny", "fc", (4, 8), "float", reason="small")
    report = ConversionReport(
        "net", "paper", [quantized, kept], predicted_kernel="avx2", predicted_on="A CPU, 2026-11-21"
    )
    assert report.predicted_ms == 0.25
    assert "quantized layers: 0.250 ms, one thread, kernel avx2 (cost model of A CPU" in str(report)
    values = json.loads(report.to_json())
    assert values["predicted_ms"] == 0.25
    assert [layer["predicted_ms"] for layer in values["layers"]] == [0.25, None]
    without = replace(report, layers=[kept])
    assert without.predicted_ms is None
    assert "predicted time" not in str(without)


CORE = Path(__file__).parents[1] / "custom_ops" / "core"


def test_rows_are_done_one_by_one_as_the_kernels_do_them():
    files = {
        "avx512_vnni": "qfc_avx512-inl.h",
        "avx512": "qfc_avx512-inl.h",
        "avx2": "qfc_avx2.cc",
        "neon": "qfc_neon.cc",
        "neon_dotprod": "qfc_neon.cc",
    }
    kernels = json.loads(cost_model.COEFFICIENTS.path.read_text(encoding="utf-8"))["kernels"]
    assert set(kernels) == set(files)
    for kernel, file in files.items():
        text = (CORE / file).read_text(encoding="utf-8")
        found = re.search(r"kOps = \{(?:kByteTables \? (\d+) : )?(\d+),", text)
        assert found is not None
        expected = int(found[1] if kernel == "avx512_vnni" else found[2])
        assert [entry["row_entries"] for entry in kernels[kernel]] == [expected] * len(
            kernels[kernel]
        )


@pytest.mark.parametrize(
    ("file", "name", "expected"),
    [
        ("conv_ops.h", "kLanes", cost_geometry.LANES),
        ("conv_ops.h", "kMaxTaps", cost_geometry.MAX_TAPS),
        ("conv_ops.h", "kNarrowK", cost_geometry.NARROW_K),
        ("conv_ops.h", "kMaxWideWindow", cost_geometry.MAX_WIDE_WINDOW),
        ("packed_conv.cc", "kSmallKernel", cost_geometry.SMALL_KERNEL),
        ("conv_geometry.cc", "kMaxLaneSpan", cost_geometry.MAX_LANE_SPAN),
        ("conv_geometry.cc", "kMaxRowSpan", cost_geometry.MAX_ROW_SPAN),
        ("fc_ops.h", "kFcBlock", cost_model.FC_BLOCK),
        ("qfc.cc", "kConvRows", cost_model.CONV_ROWS),
    ],
)
def test_plans_have_the_constants_of_the_kernels(file, name, expected):
    # Where this fails, cost_geometry.py no longer counts what the kernels do: change it, and run
    # benchmarks/fit_cost_model.py.
    found = re.search(rf"{name} = (\d+);", (CORE / file).read_text(encoding="utf-8"))
    assert found is not None and int(found[1]) == expected
