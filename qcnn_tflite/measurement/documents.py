"""Result files: written, and read with what the readers here rely on checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import write_atomically
from ..result_document import FORMAT, document

# Fields of a result that every reader uses, and their types. The whole schema is
# benchmarks/schema/result-1.json, which `python -m benchmarks.validate` checks.
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "model": str,
    "variant": str,
    "machine": dict,
    "threads": int,
    "batch": int,
    "runtime": dict,
    "date": str,
    "samples_ms": list,
    "summary_ms": dict,
    "load_ms": (int, float),
    "sizes": dict,
}
_NUMBERS = {"summary_ms": ("median", "p10", "p90", "min"), "sizes": ("file", "zipped")}
_TEXTS = {"machine": ("cpu", "instruction_set"), "runtime": ("name", "version")}


def write(
    path: Path, results: Iterable[dict[str, Any]], left_out: Sequence[dict[str, str]] = ()
) -> None:
    """Write results, in place of those that the file holds."""
    text = json.dumps(document(results, left_out), indent=1) + "\n"
    write_atomically(path, text.encode(), overwrite=True)


def read(path: Path) -> dict[str, Any]:
    """A result file.

    Returns
    -------
    dict
        With ``results``, a list, and perhaps ``left_out``.

    Raises
    ------
    DataError
        If it cannot be read, or is no result file of format 1.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is no result file that can be read: {error}") from error
    if wrong := _problem(found):
        raise DataError(
            f"{path} is no result file of format {FORMAT}: {wrong}; give a file that qcnn-tflite "
            "benchmark -o or a demo app wrote"
        )
    result: dict[str, Any] = found
    return result


def _problem(found: Any) -> str | None:
    """The first thing wrong with a document."""
    if not isinstance(found, dict) or not isinstance(found.get("results"), list):
        return "expected an object with a list of results"
    if found.get("format") != FORMAT:
        return f"its format is {found.get('format')!r}"
    for i, result in enumerate(found["results"]):
        if not isinstance(result, dict):
            return f"result {i} is no object"
        for name, kind in _FIELDS.items():
            value = result.get(name)
            if not isinstance(value, kind) or isinstance(value, bool):
                return f"result {i} has no {name} that can be used"
        for name, keys in _NUMBERS.items():
            for key in keys:
                value = result[name].get(key)
                if not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
                    return f"result {i}: {name}.{key} is no number"
        for name, keys in _TEXTS.items():
            if not all(isinstance(result[name].get(key), str) for key in keys):
                return f"result {i}: {name} has no {' or '.join(keys)}"
        samples = result["samples_ms"]
        if not samples or not all(isinstance(ms, (int, float)) and ms > 0 for ms in samples):
            return f"result {i}: samples_ms holds no times"
    return None
