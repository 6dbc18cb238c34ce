"""File sizes as users meet them."""

from __future__ import annotations

import os
import zlib


def format_bytes(count: float) -> str:
    """``13193876`` as ``13.19 MB`` (decimal, as file managers and app stores count)."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count:.0f} bytes"


def zipped_size(path: str | os.PathLike[str]) -> int:
    """Bytes of a file after deflate, as an app's package would hold it."""
    deflate = zlib.compressobj(6, wbits=-15)
    size = 0
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            size += len(deflate.compress(chunk))
    return size + len(deflate.flush())
