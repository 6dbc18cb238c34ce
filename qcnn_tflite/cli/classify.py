"""``qcnn-tflite classify``."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from ..errors import DataError
from . import options

HELP = "name what is on images"
EXAMPLES = """\
  qcnn-tflite classify net-q.tflite cat.jpg
  qcnn-tflite classify net-q.tflite *.jpg --top 3 --json
  qcnn-tflite classify net.tflite cat.jpg --labels words.txt --preprocessing how.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a .tflite, quantized or float")
    parser.add_argument("images", nargs="+", help="JPEG, PNG, BMP, whatever Pillow opens")
    parser.add_argument(
        "--top", type=options.positive_int, default=5, metavar="N", help="classes; default: 5"
    )
    parser.add_argument(
        "--labels", metavar="FILE", help="one class name a line; default: those in the metadata"
    )
    options.add_crops(parser)
    options.add_preprocessing(parser)
    options.add_runtime(parser)


def run(args: argparse.Namespace) -> int:
    import qcnn_tflite

    labels = None
    if args.labels is not None:
        try:
            labels = Path(args.labels).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"--labels {args.labels} cannot be read as text ({error})") from error
    preprocessing = options.preprocessing(args)
    answers = {
        image: qcnn_tflite.classify(
            args.model,
            image,
            top=args.top,
            preprocessing=preprocessing,
            labels=labels,
            threads=args.threads,
            kernel=args.kernel,
            lrn=not args.stock_lrn,
            crops=args.crops,
        )
        for image in args.images
    }
    if args.json:
        rows = {image: [dataclasses.asdict(p) for p in found] for image, found in answers.items()}
        print(json.dumps(rows, indent=2))
        return 0
    for image, found in answers.items():
        print(f"{image}  ({1000 * found.seconds:.1f} ms)")
        for prediction in found:
            print(f"  {prediction.probability:7.2%}  {prediction.label}")
    return 0
