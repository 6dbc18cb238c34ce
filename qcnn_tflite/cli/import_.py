"""``qcnn-tflite import``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..files import check_output
from ..sizes import format_bytes
from . import options

HELP = "make a quantized .tflite of a folder of Quantized-CNN (2016), without learning anything"
EXAMPLES = """\
  qcnn-tflite import AlexNet/Bin.Files -o alexnet-q.tflite
  qcnn-tflite import AlexNet/Bin.Files --mean imagenet_mean.single.bin -o alexnet-q.tflite
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="with the .bin and .cbn files")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: MODEL-q.tflite, here")
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="alexnet, caffenet, cnn_s or vgg16; default: as the files are called",
    )
    parser.add_argument(
        "--mean",
        metavar="FILE",
        help="the mean image; default: imagenet_mean.single.bin in the folder or the one above",
    )
    options.add_force(parser)


def run(args: argparse.Namespace) -> int:
    from qcnn_tflite.importers import quantized_cnn

    name = args.model or quantized_cnn.recognize(args.folder)
    output = check_output(Path(args.output or f"{name}-q.tflite"), overwrite=args.force)
    data = quantized_cnn.import_folder(
        args.folder, output, model=name, mean=args.mean, overwrite=args.force
    )
    if args.json:
        print(json.dumps({"output": str(output), "model": name, "bytes": len(data)}, indent=2))
    else:
        print(f"wrote {output}: {name}, {format_bytes(len(data))}")
    return 0
