"""The scripts that print the paper's figures beside ours."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import small_network

from benchmarks import aaai16_table1, aaai16_table2, speed_test
from qcnn_tflite.measurement import documents
from qcnn_tflite.published import PAPER
from qcnn_tflite.result_document import result


def test_the_formulas_give_what_the_design_says_of_alexnet():
    costs = aaai16_table1.layer_costs("alexnet").values()
    assert sum(c.ops_before for c in costs) == 724_406_816
    assert sum(c.ops_after for c in costs) == 174_299_872
    found = aaai16_table1.formulas("alexnet")
    # Codewords of conv1 are as long as its three channels here, and eight long in the published files.
    assert found.bytes_after == 13_193_876 - 4 * 128 * (8 - 3)
    assert found.compression == pytest.approx(18.48, abs=0.01)


@pytest.mark.parametrize("name", PAPER)
def test_the_formulas_give_what_the_paper_prints(name):
    found, printed = aaai16_table1.formulas(name), PAPER[name]
    assert found.speedup == pytest.approx(printed.speedup, rel=0.01)
    # The compression that the paper prints is not the quotient of the sizes that it prints.
    assert found.compression == pytest.approx(printed.compression, rel=0.07)


def _result(variant: str, lrn: str | None, ms: float, size: int) -> dict:
    return result(
        model="alexnet",
        variant=variant,
        lrn=lrn,
        samples_ms=[ms],
        load_ms=1,
        sizes={"file": size, "zipped": size},
        runtime=("x", "1"),
        threads=1,
        batch=1,
        kernel=None,
        date="2026-11-21T14:00:00+00:00",
    )


def test_the_table(tmp_path, monkeypatch, capsys):
    path = tmp_path / "results.json"
    found = [
        _result("float", "stock", 20, 1900),
        _result("float", "ours", 12, 1900),
        _result("q", "ours", 2, 100),
    ]
    documents.write(path, found)
    monkeypatch.setattr(sys, "argv", ["table1", str(path)])
    assert aaai16_table1.main() == 0
    lines = capsys.readouterr().out.splitlines()
    alexnet = next(line.split() for line in lines if line.startswith("alexnet"))
    assert alexnet == [
        "alexnet",
        "4.15x",
        "4.16x",
        "10.00x",
        "6.00x",
        "18.76x",
        "18.49x",
        "19.00x",
        "12.58",
    ]
    assert next(line for line in lines if line.startswith("vgg16")).count("x") == 4
    monkeypatch.setattr(sys, "argv", ["table1", str(tmp_path / "absent.json")])
    assert aaai16_table1.main() == 2
    assert "can be read" in capsys.readouterr().err


@pytest.mark.parametrize("name", aaai16_table2.PAPER)
def test_the_storage_that_the_paper_prints_is_that_of_the_formulas(name):
    found = aaai16_table1.formulas(name)
    before, after = aaai16_table2.PAPER[name].storage_mib
    assert found.bytes_before / 2**20 == pytest.approx(before, abs=0.01)
    # The files' headers, and codewords of conv1 that are longer than its channels, come on top.
    assert found.bytes_after / 2**20 == pytest.approx(after, abs=0.04)


def test_the_telephones_table(tmp_path, monkeypatch, capsys):
    path = tmp_path / "results.json"
    memory = {"memory": {"peak_rss_bytes": 4 << 20, "runs": 10}}
    found = [
        {**_result("float", "stock", 20, 3 << 20), **memory},
        _result("float", "ours", 12, 3 << 20),
        {**_result("q", "ours", 2, 1 << 20), "footprint_bytes": 2 << 20},
    ]
    documents.write(path, found)
    monkeypatch.setattr(sys, "argv", ["table2", str(path)])
    assert aaai16_table2.main() == 0
    lines = capsys.readouterr().out.splitlines()
    paper = ["2.93", "0.95", "3.08x", "232.56", "12.60", "18.46x", "264.74", "74.65", "3.55x"]
    assert lines[2].split()[-9:] == paper
    cells = lines[3].split()[-9:]
    assert cells == ["0.02", "0.002", "10.00x", "3.00", "1.00", "3.00x", "4.00", "2.00", "2.00x"]
    documents.write(path, found[:2])  # without q there is nothing to compare
    assert aaai16_table2.main() == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_the_speed_test(tmp_path, monkeypatch, capsys):
    path = tmp_path / "net.tflite"
    path.write_bytes(small_network.float_model())
    words = ["speed_test", path, path, "--batches", 3, "--repeats", 2]
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    assert speed_test.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("net.tflite")]) == 2
    assert "repeat 2" in lines[0]
    monkeypatch.setattr(sys, "argv", ["speed_test", str(tmp_path / "absent.tflite")])
    assert speed_test.main() == 2
    assert "no such file" in capsys.readouterr().err


def test_the_speed_tests_figures():
    text = speed_test.table(["a", "b"], np.array([[1.0, 2.0], [0.5, 0.5]]), 100)
    rows = [line.split() for line in text.splitlines()[2:]]
    assert rows[0] == ["a", "10.000", "20.000", "15.000", "7.071", "1.00x"]
    assert rows[1] == ["b", "5.000", "5.000", "5.000", "0.000", "3.00x"]
