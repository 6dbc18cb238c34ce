"""``qcnn-tflite evaluate``."""

from __future__ import annotations

import argparse

from . import options

HELP = "measure accuracy on labelled images, beside the float model's"
EXAMPLES = """\
  qcnn-tflite evaluate net-q.tflite val/ --reference net.tflite
  qcnn-tflite evaluate net-q.tflite val.npz --reference net.tflite --max-drop 1.5
  qcnn-tflite evaluate net-q.tflite ILSVRC2012_val/ --jobs 4 --resume counts.json --skip-unreadable
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a .tflite, usually the quantized one")
    parser.add_argument(
        "data",
        help="a folder with labels.csv (file,label) or with one folder per class, such a CSV file, or "
        "an .npz with images and labels",
    )
    parser.add_argument("--reference", metavar="FILE", help="the float .tflite to compare with")
    parser.add_argument(
        "--max-drop",
        type=float,
        metavar="POINTS",
        help="exit with 1 if top-1 is more than this many points below the reference",
    )
    parser.add_argument(
        "--label-offset",
        type=int,
        default=0,
        metavar="N",
        help="added to each label, e.g. 1 for a model whose class 0 is the background",
    )
    parser.add_argument(
        "--limit", type=options.positive_int, metavar="N", help="the first N images only"
    )
    parser.add_argument(
        "--jobs",
        type=options.positive_int,
        default=1,
        metavar="N",
        help="workers, which share the threads; the result does not depend on them; default: 1",
    )
    parser.add_argument(
        "--resume",
        metavar="FILE",
        help="keep the counts in this file on the way, and go on from it if it is there",
    )
    parser.add_argument(
        "--skip-unreadable",
        action="store_true",
        help="leave out images that cannot be decoded, and say which; default: stop there",
    )
    options.add_crops(parser)
    options.add_preprocessing(parser)
    options.add_runtime(parser)


def run(args: argparse.Namespace) -> int:
    import qcnn_tflite

    from ..errors import ConfigError
    from ..evaluation import EvaluationInterrupted

    if args.max_drop is not None and args.reference is None:
        raise ConfigError("--max-drop compares with a float model; give it as --reference")
    try:
        result = qcnn_tflite.evaluate(
            args.model,
            args.data,
            args.reference,
            preprocessing=options.preprocessing(args),
            label_offset=args.label_offset,
            limit=args.limit,
            threads=args.threads,
            kernel=args.kernel,
            lrn=not args.stock_lrn,
            crops=args.crops,
            jobs=args.jobs,
            resume=args.resume,
            skip_unreadable=args.skip_unreadable,
        )
    except EvaluationInterrupted as stop:
        if stop.evaluation is not None:
            print(stop.evaluation.to_json() if args.json else stop.evaluation)
        raise
    print(result.to_json() if args.json else result)
    drop = result.top1_drop
    return int(args.max_drop is not None and drop is not None and drop > args.max_drop)
