"""Result files, read with the whole schema checked."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.validate import problems
from qcnn_tflite.errors import DataError, QcnnError
from qcnn_tflite.measurement import documents
from qcnn_tflite.measurement.documents import write

__all__ = ["print_of_files", "read", "write"]


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


def print_of_files(usage: str | None, text: Callable[[list[dict[str, Any]]], str]) -> int:
    """Main function of a script that prints something of the result files it is given; the exit status.

    Parameters
    ----------
    usage : str
    text : callable
        Of all results.
    """
    parser = argparse.ArgumentParser(
        description=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="RESULT.json")
    args = parser.parse_args()
    try:
        results = [r for path in args.files for r in documents.read(path)["results"]]
    except QcnnError as error:
        print(error, file=sys.stderr)
        return 2
    print(text(results))
    return 0
