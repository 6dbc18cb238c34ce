"""Result files, read with the whole schema checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.validate import problems
from qcnn_tflite.errors import DataError
from qcnn_tflite.measurement import documents
from qcnn_tflite.measurement.documents import write

__all__ = ["read", "write"]


def read(path: Path) -> list[dict[str, Any]]:
    """The results of a file.

    Raises
    ------
    DataError
        If it cannot be read or does not pass its schema.
    """
    found = documents.read(path)
    if wrong := problems(found):
        raise DataError(f"{path} is no result file of format 1: {wrong[0]}")
    results: list[dict[str, Any]] = found["results"]
    return results
