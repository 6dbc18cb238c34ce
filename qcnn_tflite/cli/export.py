"""``qcnn-tflite export``."""

from __future__ import annotations

import argparse
import json

from . import options

HELP = "write a quantized AlexNet, CaffeNet, CNN-S or VGG-16 as a folder of Quantized-CNN (2016)"
EXAMPLES = """\
  qcnn-tflite export alexnet-q.tflite AlexNet/Bin.Files
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a quantized .tflite without output scales")
    parser.add_argument("folder", help="is made")
    parser.add_argument(
        "--model-name", metavar="NAME", help="of the network; default: what the metadata say"
    )
    options.add_force(parser)


def run(args: argparse.Namespace) -> int:
    from qcnn_tflite.importers import quantized_cnn

    files = quantized_cnn.export_folder(
        args.model, args.folder, name=args.model_name, overwrite=args.force
    )
    if args.json:
        print(json.dumps({"folder": args.folder, "files": files}, indent=2))
    else:
        print(f"wrote {len(files)} files into {args.folder}")
    return 0
