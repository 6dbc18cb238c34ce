"""The tables of results, and the README's."""

from __future__ import annotations

import sys

import pytest

from benchmarks import table
from qcnn_tflite.errors import DataError
from qcnn_tflite.measurement import documents
from qcnn_tflite.measurement.table import markdown, summary
from qcnn_tflite.result_document import result


def one(variant: str, lrn: str | None, ms: float, size: int, **more: object) -> dict:
    found = result(
        model="net",
        variant=variant,
        lrn=lrn,
        samples_ms=[ms],
        load_ms=1,
        sizes={"file": size, "zipped": size},
        runtime=("x", "1"),
        threads=2,
        batch=1,
        kernel="k" if variant == "q" else None,
        date="2026-11-21T14:00:00+00:00",
        machine={"cpu": "c", "cpus": 2, "instruction_set": "i", "features": [], "system": "s"},
    )
    return {**found, **more}


RESULTS = [
    one("float", "stock", 20, 2_000_000, accuracy={"images": 10, "top1": 0.5, "top5": 0.8}),
    one("float", "ours", 12, 2_000_000),
    one("int8", "stock", 8, 500_000),
    one("q", "ours", 2, 100_000, accuracy={"images": 10, "top1": 0.4, "top5": 0.7}),
]


def test_a_row_for_every_network():
    lines = summary(RESULTS).splitlines()
    assert lines[2] == (
        "| net | 2 | 2 | 20 | 8 | 10.00x | 4.00x | 6.00x | 2.00 MB, 500.00 kB, 100.00 kB | "
        "50.00 %, –, 40.00 % | 80.00 %, –, 70.00 % |"
    )
    assert "peak memory" not in lines[0]
    assert lines[-1] == "c, i, 2 cpus, batch 1, kernel k, x 1, 1 runs in turn, 2026-11-21"


def test_columns_without_anything_are_left_out_and_what_is_partial_is_said():
    text = markdown([one("q", None, 2, 100, partial="1 of 9 runs: interrupted")])
    assert "top-1" not in text
    assert "q is partial, 1 of 9 runs: interrupted" in text
    text = markdown(RESULTS, [{"model": "net", "variant": "float (ncnn)", "reason": "absent"}])
    assert "- net, float (ncnn): absent" in text
    assert "| top-1 |" in text


def test_into_a_file(tmp_path, monkeypatch, capsys):
    results, page = tmp_path / "results.json", tmp_path / "README.md"
    documents.write(results, RESULTS)
    page.write_text("a\n<!-- results -->\nold\n<!-- end of results -->\nb\n", encoding="utf-8")
    words = ["table", "--summary", results, "--into", page, "--pictures", tmp_path / "pictures"]
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    for _ in range(2):  # again gives the same
        assert table.main() == 0
        text = page.read_text(encoding="utf-8")
        assert text.startswith("a\n<!-- results -->\n| network |")
        assert text.endswith("2026-11-21\n<!-- end of results -->\nb\n")
        assert "old" not in text
    assert (tmp_path / "pictures" / "accuracy-size.svg").is_file()
    page.write_text("a\n<!-- end of results --><!-- results -->\n", encoding="utf-8")
    assert table.main() == 2
    assert "expected the comments" in capsys.readouterr().err
    with pytest.raises(DataError, match="cannot be read"):
        table.put_into(tmp_path / "absent.md", "x")
