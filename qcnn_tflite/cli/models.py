"""``qcnn-tflite models``."""

from __future__ import annotations

import argparse
import json

HELP = "list the named models"
EXAMPLES = """\
  qcnn-tflite models
  qcnn-tflite models --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="only this one")


def run(args: argparse.Namespace) -> int:
    from qcnn_tflite import models

    names = [args.name] if args.name else models.names()
    found = [models.get(name) for name in names]
    rows = [
        {
            "name": model.name,
            "description": model.description,
            "licence": model.licence,
            "input": model.preprocessing.to_metadata(),
        }
        for model in found
    ]
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    width = max(len(model.name) for model in found)
    for model in found:
        print(f"{model.name:{width}}  {model.description}")
    return 0
