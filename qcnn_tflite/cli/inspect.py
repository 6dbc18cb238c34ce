"""``qcnn-tflite inspect``."""

from __future__ import annotations

import argparse

HELP = "show the layers of a .tflite and check them against the op contract"
EXAMPLES = """\
  qcnn-tflite inspect net-q.tflite
  qcnn-tflite inspect net-q.tflite --json | jq '.layers[0].options'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a .tflite, quantized or float")


def run(args: argparse.Namespace) -> int:
    import qcnn_tflite

    found = qcnn_tflite.inspect(args.model)
    print(found.to_json() if args.json else found)
    return 0
