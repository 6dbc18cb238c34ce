"""``qcnn-tflite report``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..files import check_output
from . import options

HELP = "write result files as one HTML page, with charts and sortable tables"
EXAMPLES = """\
  qcnn-tflite report net.json -o report.html      after: qcnn-tflite benchmark net.tflite -o net.json
  qcnn-tflite report phone.json board.json conversion.json -o report.html
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results",
        nargs="+",
        type=Path,
        metavar="result",
        help="what benchmark -o, a demo app's export or convert --report wrote, JSON",
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("report.html"), metavar="FILE",
        help="default: report.html",
    )  # fmt: skip
    options.add_force(parser)


def run(args: argparse.Namespace) -> int:
    from ..files import write_atomically
    from ..measurement.page import results_page

    check_output(args.output, overwrite=args.force)
    page = results_page(args.results)
    write_atomically(args.output, page.encode(), overwrite=args.force)
    print(json.dumps({"output": str(args.output)}) if args.json else f"wrote {args.output}")
    return 0
