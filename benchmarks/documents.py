"""Result files, read and written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.validate import problems
from qcnn_tflite.errors import DataError
from qcnn_tflite.files import write_atomically
from qcnn_tflite.result_document import document


def write(path: Path, results: Iterable[dict[str, Any]]) -> None:
    """Write results, in place of those that the file holds."""
    text = json.dumps(document(results), indent=1) + "\n"
    write_atomically(path, text.encode(), overwrite=True)


def read(path: Path) -> list[dict[str, Any]]:
    """The results of a file.

    Raises
    ------
    DataError
        If it cannot be read or does not pass its schema.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no result file that can be read: {error}") from error
    if wrong := problems(found):
        raise DataError(f"{path} is no result file of format 1: {wrong[0]}")
    results: list[dict[str, Any]] = found["results"]
    return results
