"""A result file as a run would write it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from result_files import ACCURACY, LAYERS, one

from qcnn_tflite.measurement import documents

LEFT_OUT = [{"model": "net", "variant": "float (ncnn)", "reason": "ncnn is <not> installed"}]


@pytest.fixture
def results() -> list[dict[str, Any]]:
    return [
        one("float", 20.0, 2_000_000, lrn="stock", accuracy=ACCURACY),
        one("float", 10.0, 2_000_000, lrn="ours", accuracy=ACCURACY),
        one("int8", 8.0, 500_000, lrn="stock", partial="3 of 50 runs: interrupted"),
        one("q", 2.5, 100_000, lrn="ours", accuracy={**ACCURACY, "top1": 0.48}, layers=LAYERS),
    ]


@pytest.fixture
def result_file(tmp_path: Path, results: list[dict[str, Any]]) -> Callable[..., Path]:
    """Writes the results, or others, and gives the path."""

    def write(given: list[dict[str, Any]] | None = None, name: str = "results.json") -> Path:
        path = tmp_path / name
        documents.write(path, results if given is None else given, LEFT_OUT)
        return path

    return write
