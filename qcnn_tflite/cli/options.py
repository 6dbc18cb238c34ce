"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..runtime.library import KERNELS

if TYPE_CHECKING:
    from ..calibration.preprocessing import Preprocessing


def positive_int(text: str) -> int:
    """An argparse type: a whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return value


def add_runtime(parser: argparse.ArgumentParser, *, threads: int | None = None) -> None:
    """``--threads``, ``--kernel`` and ``--stock-lrn``."""
    default = "all" if threads is None else threads
    parser.add_argument(
        "--threads", type=positive_int, default=threads, metavar="N", help=f"default: {default}"
    )
    parser.add_argument(
        "--kernel",
        choices=("auto", *KERNELS),
        default="auto",
        metavar="NAME",
        help=f"kernels of QConv, QFC and LRN: {', '.join(KERNELS)} (doctor says which run here); "
        "default: auto, the first of them that does",
    )
    parser.add_argument(
        "--stock-lrn",
        action="store_true",
        help="leave local response normalization to the runtime's own op",
    )


def add_preprocessing(parser: argparse.ArgumentParser) -> None:
    """``--preprocessing``."""
    parser.add_argument(
        "--preprocessing",
        metavar="JSON",
        help="how images are prepared, as JSON text or a file, for a model without metadata: "
        '{"resize": "squash", "size": [256, 256], "crop": [224, 224], "channels": "RGB", '
        '"scale": 1, "mean": [127.5, 127.5, 127.5], "std": [127.5, 127.5, 127.5]}',
    )


def add_crops(parser: argparse.ArgumentParser) -> None:
    """``--crops``."""
    parser.add_argument(
        "--crops",
        type=int,
        choices=(1, 10),
        default=1,
        help="patches of each image whose probabilities are averaged: the middle, or that, the four "
        "corners and all five mirrored; default: 1",
    )


def add_force(parser: argparse.ArgumentParser) -> None:
    """``-f``."""
    parser.add_argument("-f", "--force", action="store_true", help="overwrite what exists")


def read_json(text: str, what: str) -> dict[str, Any]:
    """A JSON object from the command line: inline, or the path of a file.

    Raises
    ------
    ConfigError
    """
    source = text
    if not text.lstrip().startswith("{"):
        try:
            source = Path(text).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"{what}: expected JSON text or a JSON file, got {text!r} ({error.strerror})"
            ) from error
    try:
        values = json.loads(source)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{what} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{what} must be a JSON object, got {type(values).__name__}")
    return values


def preprocessing(args: argparse.Namespace) -> Preprocessing | None:
    """The preprocessing given on the command line, or None."""
    if args.preprocessing is None:
        return None
    from ..calibration.preprocessing import Preprocessing

    values = read_json(args.preprocessing, "--preprocessing")
    return Preprocessing.from_metadata({"input": values}, None)


def limits(words: Sequence[str]) -> dict[str, str]:
    """A budget from ``LIMIT=VALUE`` words.

    Raises
    ------
    ConfigError
    """
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals and value):
            raise ConfigError(f"--budget: expected LIMIT=VALUE, e.g. size=6MB, got {word!r}")
        if key in found:
            raise ConfigError(f"--budget: {key} is given twice; leave one of them out")
        found[key] = value
    return found
