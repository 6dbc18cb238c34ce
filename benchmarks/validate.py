"""Checks result files against their schema.

    python -m benchmarks.validate RESULT.json...
    python -m benchmarks.validate --strict RESULT.json   # refuses fields that the schema does not name

Exits with 1 if a file does not pass. Needs `pip install '.[bench]'`.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from pathlib import Path
from typing import Any

from qcnn_tflite.errors import QcnnError, RuntimeMissingError
from qcnn_tflite.result_document import summary

SCHEMA = Path(__file__).parent / "schema" / "result-1.json"


def schema(*, strict: bool = False) -> dict[str, Any]:
    """The schema of format 1.

    Parameters
    ----------
    strict : bool
        Refuse fields that it does not name. Not for files of a later version, which may have more.
    """
    found: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return _closed(found) if strict else found


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return copy.copy(node)
    closed = {key: _closed(value) for key, value in node.items()}
    if node.get("type") == "object" and "properties" in node:
        closed.setdefault("additionalProperties", False)
    return closed


def problems(document: Any, *, strict: bool = False) -> list[str]:
    """What is wrong with a document, a sentence each; empty if it passes.

    Raises
    ------
    RuntimeMissingError
        If jsonschema is not installed.
    """
    try:
        from jsonschema import Draft202012Validator
    except ImportError as error:
        raise RuntimeMissingError(
            f"results are checked by jsonschema ({error}): pip install jsonschema"
        ) from error
    validator = Draft202012Validator(schema(strict=strict))
    errors = sorted(validator.iter_errors(document), key=lambda error: error.json_path)
    found = [f"{error.json_path}: {error.message}" for error in errors]
    return found or _contradictions(document)


def _contradictions(document: dict[str, Any]) -> list[str]:
    """What a schema cannot say: that the summary is one of the samples."""
    found = []
    for i, result in enumerate(document["results"]):
        for name, value in summary(result["samples_ms"]).items():
            given = result["summary_ms"][name]
            if abs(given - value) > 1e-4 * value:
                found.append(
                    f"$.results[{i}].summary_ms.{name}: is {given:.6g}, of the samples {value:.6g}"
                )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument(
        "--strict", action="store_true", help="refuse fields that the schema does not name"
    )
    args = parser.parse_args()
    try:
        return _check(args.files, strict=args.strict)
    except QcnnError as error:
        print(error, file=sys.stderr)
        return 2


def _check(files: list[Path], *, strict: bool) -> int:
    code = 0
    for path in files:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            found = [f"is no JSON file that can be read: {error}"]
        else:
            found = problems(document, strict=strict)
        for problem in found:
            print(f"{path}: {problem}", file=sys.stderr)
        if found:
            code = 1
        else:
            print(f"{path}: {len(document['results'])} results, valid")
    return code


if __name__ == "__main__":
    sys.exit(main())
