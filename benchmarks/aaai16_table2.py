"""On a telephone: time, storage and memory of AlexNet and CNN-S, the paper's beside those of result files.

    python -m benchmarks.aaai16_table2                          # the paper's alone
    python -m benchmarks alexnet cnn_s --weights random --memory -o here.json
    qcnn-tflite benchmark alexnet --weights random --device adb --library libqcnn_ops.so -o phone.json
    python -m benchmarks.aaai16_table2 here.json phone.json

The paper's telephone is a Huawei Mate 7 (2014), one image at a time. Its storage is that of the formulas (a test
compares them); its times and its memory nobody can check today. Storage and memory are in MiB.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.documents import print_of_files
from qcnn_tflite.measurement.table import runs
from qcnn_tflite.report import text_table


@dataclass(frozen=True)
class Figures:
    """Of one network in one place, float and quantized; None where it is not known.

    Parameters
    ----------
    seconds, storage_mib, memory_mib : tuple of (float or None)
    """

    seconds: tuple[float | None, float | None]
    storage_mib: tuple[float | None, float | None]
    memory_mib: tuple[float | None, float | None]


PAPER = {
    "alexnet": Figures((2.93, 0.95), (232.56, 12.60), (264.74, 74.65)),
    "cnn_s": Figures((10.58, 2.61), (392.57, 20.13), (468.90, 129.49)),
}


def measured(group: Sequence[dict[str, Any]]) -> Figures | None:
    """Of an interleaved run; float as the stock runtime runs it. None if one of the two is missing."""
    float_ = next(
        (r for r in group if r["variant"] == "float" and r.get("lrn", "stock") == "stock"), None
    )
    q = next((r for r in group if r["variant"] == "q" and r.get("lrn", "ours") == "ours"), None)
    if float_ is None or q is None:
        return None

    def memory(result: dict[str, Any]) -> float | None:
        found = result.get("memory", {}).get("peak_rss_bytes", result.get("footprint_bytes"))
        return None if found is None else found / 2**20

    return Figures(
        (float_["summary_ms"]["median"] / 1e3, q["summary_ms"]["median"] / 1e3),
        (float_["sizes"]["file"] / 2**20, q["sizes"]["file"] / 2**20),
        (memory(float_), memory(q)),
    )


def table(results: Sequence[dict[str, Any]]) -> str:
    """A row for every network and place."""
    rows = []
    for name, printed in PAPER.items():
        rows.append([name, "paper, Huawei Mate 7", *_cells(printed)])
        for group in runs(r for r in results if r["model"] == name):
            found = measured(group)
            if found is not None:
                first = group[0]
                place = f"{first['machine']['cpu']}, {first['threads']} threads"
                rows.append([name, place, *_cells(found)])
    head = ["network", "where"]
    for quantity in ("s", "storage", "memory"):
        head += [f"float {quantity}", f"quantized {quantity}", "ratio"]
    return "\n".join(text_table(head, rows, right=range(2, len(head))))


def _cells(figures: Figures) -> list[str]:
    cells = []
    for pair, pattern in (
        (figures.seconds, "{:.4g}"),
        (figures.storage_mib, "{:.2f}"),
        (figures.memory_mib, "{:.2f}"),
    ):
        before, after = pair
        cells += ["" if value is None else pattern.format(value) for value in pair]
        cells.append("" if before is None or after is None else f"{before / after:.2f}x")
    return cells


def main() -> int:
    return print_of_files(__doc__, table)


if __name__ == "__main__":
    sys.exit(main())
