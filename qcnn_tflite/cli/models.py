"""``qcnn-tflite models``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from ..report import text_table
from ..sizes import format_bytes

if TYPE_CHECKING:
    from ..models import NamedModel

HELP = "list the named models: size, licence, source of weights"
EXAMPLES = """\
  qcnn-tflite models
  qcnn-tflite models vgg16
  qcnn-tflite models --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="only this one, with all that is known of it")


def run(args: argparse.Namespace) -> int:
    from qcnn_tflite import models

    names = [args.name] if args.name else models.names()
    rows = [_described(models.get(name)) for name in names]
    if args.json:
        print(json.dumps(rows, indent=2))
    elif args.name:
        for key, value in rows[0].items():
            print(f"{key:12}{value if isinstance(value, str) else json.dumps(value)}")
    else:
        cells = [
            (row["name"], format_bytes(row["float_bytes"]), _short(row["weights"]), row["licence"])
            for row in rows
        ]
        print("\n".join(text_table(("name", "float", "weights", "licence"), cells, right=(1,))))
        print("\nqcnn-tflite models NAME tells more of one.")
    return 0


def _short(weights: str) -> str:
    return weights.partition(": ")[0].partition(", and ")[0]


def _described(model: NamedModel) -> dict[str, Any]:
    source = model.source
    weights = "with the package"
    if source is not None:
        weights = source.obtain or f"downloaded: {source.url}"
    shapes = model.network.weight_shapes()
    return {
        "name": model.name,
        "description": model.description,
        "classes": model.network.classes,
        "float_bytes": 4 * model.network.parameters(),
        "weights": weights,
        "checksum": source.digest if source else "",
        "licence": model.licence or "",
        "input": model.preprocessing.to_metadata(),
        "layers": {name: list(shape) for name, shape in shapes.items()},
    }
