"""``qcnn-tflite compare``."""

from __future__ import annotations

import argparse

from . import options

HELP = "compare a quantized network with its float twin on unlabelled images"
EXAMPLES = """\
  qcnn-tflite compare net.tflite net-q.tflite photos/
  qcnn-tflite compare net.tflite net-q.tflite photos.npy --worst 20 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("float_model", metavar="float", help="the float .tflite")
    parser.add_argument("q_model", metavar="quantized", help="the .tflite made from it")
    parser.add_argument("images", help="unlabelled images: a folder, .npy or .npz")
    parser.add_argument(
        "--worst",
        type=options.positive_int,
        default=10,
        metavar="N",
        help="how many of the images that differ most to list; default: 10",
    )
    parser.add_argument(
        "--limit", type=options.positive_int, metavar="N", help="the first N images only"
    )
    options.add_preprocessing(parser)
    options.add_runtime(parser)


def run(args: argparse.Namespace) -> int:
    import qcnn_tflite

    result = qcnn_tflite.compare(
        args.float_model,
        args.q_model,
        args.images,
        preprocessing=options.preprocessing(args),
        worst=args.worst,
        limit=args.limit,
        threads=args.threads,
        kernel=args.kernel,
        lrn=not args.stock_lrn,
    )
    print(result.to_json() if args.json else result)
    return 0
