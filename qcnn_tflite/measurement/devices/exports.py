"""What the demo apps' benchmark screens export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import documents


def read_export(text: str) -> dict[str, Any]:
    """A document of ``ios:FILE.json``, each result marked with where it came from.

    Raises
    ------
    DataError
        If it is no result file.
    """
    path = Path(text.partition(":")[2])
    found = documents.read(path)
    for result in found["results"]:
        result.setdefault("device", text)
    return found
