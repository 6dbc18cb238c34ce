"""``qcnn-tflite export``."""

from __future__ import annotations

import argparse
import json

from . import options

HELP = "write a quantized model as files of Quantized-CNN (2016) or of Klaus (2014)"
EXAMPLES = """\
  qcnn-tflite export alexnet-q.tflite AlexNet/Bin.Files
  qcnn-tflite export net-q.tflite pictures/ --klaus
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        help="a quantized .tflite without output scales: an AlexNet, CaffeNet, CNN-S or VGG-16; with "
        "--klaus, of the preset klaus",
    )
    parser.add_argument("folder", help="is made; with --klaus it must exist")
    parser.add_argument(
        "--klaus",
        action="store_true",
        help="fully-connected layers as PNGs of codes, palettes as .npy and in ccv's sqlite3 file",
    )
    parser.add_argument(
        "--model-name", metavar="NAME", help="of the network; default: what the metadata say"
    )
    options.add_force(parser)


def run(args: argparse.Namespace) -> int:
    from qcnn_tflite.importers import klaus, quantized_cnn

    if args.klaus:
        files = klaus.export_layers(args.model, args.folder, overwrite=args.force)
    else:
        files = quantized_cnn.export_folder(
            args.model, args.folder, name=args.model_name, overwrite=args.force
        )
    if args.json:
        print(json.dumps({"folder": args.folder, "files": files}, indent=2))
    else:
        print(f"wrote {len(files)} files into {args.folder}")
    return 0
