"""The theoretical costs are the paper's, and the report says every layer's fate."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qcnn_tflite.report import (
    ConversionReport,
    Cost,
    LayerReport,
    text_table,
    theoretical_cost,
)

# BVLC AlexNet: input side, output side, C_in, C_out, kernel, groups (design of Krizhevsky et al.).
_CONVOLUTIONS = [
    (227, 55, 3, 96, 11, 1),
    (27, 27, 96, 256, 5, 2),
    (13, 13, 256, 384, 3, 1),
    (13, 13, 384, 384, 3, 2),
    (13, 13, 384, 256, 3, 2),
]
_FULLY_CONNECTED = [(9216, 4096, 4, 32), (4096, 4096, 4, 32), (4096, 1000, 1, 16)]


def _alexnet(**options: Any) -> list[Cost]:
    costs = [
        theoretical_cost(
            in_positions=side * side,
            out_positions=out * out,
            in_channels=c_in,
            out_channels=c_out,
            kernel=(k, k),
            groups=groups,
            d=8,
            K=128,
            **options,
        )
        for side, out, c_in, c_out, k, groups in _CONVOLUTIONS
    ]
    for c_in, c_out, d, codewords in _FULLY_CONNECTED:
        costs.append(
            theoretical_cost(
                in_positions=1,
                out_positions=1,
                in_channels=c_in,
                out_channels=c_out,
                d=d,
                K=codewords,
                **options,
            )
        )
    return costs


def test_alexnet_costs_what_the_paper_says():
    costs = _alexnet()
    before = sum(c.ops_before for c in costs)
    after = sum(c.ops_after for c in costs)
    assert (before, after) == (724_406_816, 174_299_872)
    assert before / after == pytest.approx(4.156, abs=5e-4)
    assert sum(c.bytes_after for c in costs) == 13_193_876
    assert sum(c.bytes_before for c in costs) / 13_193_876 == pytest.approx(18.48, abs=0.005)


def test_half_precision_shared_and_scaled_codebooks():
    sizes = {"in_positions": 49, "out_positions": 49, "in_channels": 512, "out_channels": 512}
    cost = theoretical_cost(
        **sizes, d=2, K=256, codebooks=1, codebook_itemsize=2, bias=False, scale=True
    )
    assert cost.bytes_after == 2 * 2 * 256 + 256 * 512 + 4 * 512
    per_group = theoretical_cost(**sizes, groups=2, d=8, K=5, codebooks=64, bias=False)
    # 5 codewords need 3 bits; every subspace's row of codes starts on a byte.
    assert per_group.bytes_after == 4 * 64 * 8 * 5 + 32 * (512 * 3 // 8)


def _report() -> ConversionReport:
    layers = [
        LayerReport(
            "conv1", "conv", (96, 11, 11, 3), "quantized", M=1, K=128, d=8,
            bytes_before=139_776, bytes_after=14_644, ops_before=400, ops_after=100,
            error=0.00213, choice="damping 0.01", seconds=1.5,
        ),
        LayerReport(
            "tiny", "fc", (4, 8), "float", reason="fewer than 2,048 weights",
            bytes_before=144, bytes_after=144, ops_before=100, ops_after=100,
        ),
    ]  # fmt: skip
    return ConversionReport("net", "paper", layers, 200_000, 20_000, 32, 2.0, ["a note"])


def test_report_totals():
    report = _report()
    assert report.compression == 10
    assert report.theoretical_speedup == 2.5
    assert [layer.name for layer in report.quantized_layers] == ["conv1"]


def test_report_text_names_every_layer_and_its_fate():
    text = str(_report())
    assert "96x11x11x3" in text
    assert "quantized (damping 0.01)" in text
    assert "float: fewer than 2,048 weights" in text
    assert "200.00 kB -> 20.00 kB, 10.00x smaller" in text
    assert "1 of 2 layers quantized, 32 calibration images" in text
    assert text.endswith("note: a note")


def test_report_json_holds_the_same():
    data = json.loads(_report().to_json())
    assert data["compression"] == 10
    assert data["layers"][0]["shape"] == [96, 11, 11, 3]
    assert data["layers"][0]["theoretical_speedup"] == 4
    assert data["layers"][1]["reason"] == "fewer than 2,048 weights"


def test_text_table_aligns_columns():
    assert text_table(["a", "bb"], [["xyz", "1"]], right=[1]) == ["a    bb", "---  --", "xyz   1"]
