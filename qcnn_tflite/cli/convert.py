"""``qcnn-tflite convert``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..files import check_output
from . import options

HELP = "learn product-quantized weights and write NAME-q.tflite"
EXAMPLES = """\
  qcnn-tflite convert net.tflite --calibration photos/
  qcnn-tflite convert net.keras --config accurate --calibration photos.npy -o net-q.tflite
  qcnn-tflite convert alexnet_owt --weights mine.npz --calibration photos/
  qcnn-tflite convert vgg16 --weights random
  qcnn-tflite convert net.tflite --calibration photos/ --distill 10 --unlabelled more-photos/
  qcnn-tflite convert net.tflite --calibration photos/ --budget size=6MB --front front.png
  qcnn-tflite convert net.tflite --config '{"layers": {"conv1": {"quantize": false}}}'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        help="a .tflite, .keras or .h5 file, a SavedModel folder, or a name (qcnn-tflite models)",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="default: NAME-q.tflite, here")
    parser.add_argument(
        "--calibration",
        metavar="IMAGES",
        help="unlabelled images, a few hundred: a folder, .npy or .npz; default: crops of two photographs "
        'where the network is known to take such, else "none": the weights alone, which costs accuracy',
    )
    parser.add_argument(
        "--config",
        default="paper",
        help="paper, accurate, small, klaus, a JSON file or JSON text; default: paper",
    )
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help='for a named model: a file of weights (docs/formats/README.md), or "random"; default: the '
        "published ones (qcnn-tflite models)",
    )
    options.add_preprocessing(parser)
    parser.add_argument("--float-output", metavar="FILE", help="also write the float .tflite twin")
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="also write the report: a page if it ends in .html, else JSON",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="equal seeds give equal files; default: 0"
    )
    parser.add_argument("--jobs", type=options.positive_int, metavar="N", help="default: all cores")
    parser.add_argument(
        "--predict-for",
        default="auto",
        metavar="KERNEL",
        help="kernel whose times the report predicts, e.g. neon; default: that of this machine",
    )
    parser.add_argument(
        "--budget",
        action="append",
        metavar="LIMIT=VALUE",
        help="choose the setting of every layer within a limit: size=6MB, compression=30, speedup=5 "
        "(predicted), theoretical_speedup=4, top5_drop=1 (points); may be given twice",
    )
    parser.add_argument(
        "--front",
        metavar="PNG",
        help="with --budget: draw size and time against accuracy, numbers beside it as JSON",
    )
    parser.add_argument(
        "--distill",
        type=options.positive_int,
        default=0,
        metavar="PASSES",
        help="then train codebooks, scales and biases against the float network's outputs, so many "
        "passes over the images; takes minutes, and an interrupted training is gone on with",
    )
    parser.add_argument(
        "--unlabelled",
        metavar="IMAGES",
        help="images to distill on, thousands if possible; default: the calibration images",
    )
    options.add_force(parser)


def run(args: argparse.Namespace) -> int:
    output = Path(args.output) if args.output else Path(default_output(args.model))
    # Refused now rather than after minutes of learning.
    for path in (output, args.float_output, args.report):
        if path is not None:
            check_output(path, overwrite=args.force)
    import qcnn_tflite

    extra: dict[str, Any] = {}
    if args.preprocessing is not None:
        extra["preprocessing"] = options.preprocessing(args)
    if args.budget is not None:
        extra["budget"] = options.limits(args.budget)
    config = args.config
    if config.lstrip().startswith("{"):
        config = options.read_json(config, "--config")
    result = qcnn_tflite.convert(
        args.model,
        output,
        weights=args.weights,
        config=config,
        calibration=args.calibration,
        float_output=args.float_output,
        seed=args.seed,
        jobs=args.jobs,
        overwrite=args.force,
        predict_for=args.predict_for,
        front=args.front,
        distill=args.distill,
        unlabelled=args.unlabelled,
        **extra,
    )
    if args.report is not None:
        from ..files import write_atomically

        text = result.report.to_json()
        if Path(args.report).suffix.lower() in (".html", ".htm"):
            from ..measurement.page import conversion_page

            text = conversion_page(result.report.to_dict())
        write_atomically(args.report, text.encode(), overwrite=args.force)
    if args.json:
        print(json.dumps({"output": str(output), **result.report.to_dict()}, indent=2))
    else:
        print(result.report)
        print(f"\nwrote {output}")
    return 0


def default_output(model: str) -> str:
    """``nets/a.tflite`` and ``a`` both give ``a-q.tflite``, in the working folder."""
    path = Path(model)
    stem = path.stem if path.suffix.lower() in (".tflite", ".keras", ".h5") else path.name
    return f"{stem or 'model'}-q.tflite"
