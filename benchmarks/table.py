"""Results as Markdown tables.

    python -m benchmarks.table RESULT.json...
    python -m benchmarks.table --summary RESULT.json...                    # a row for every network
    python -m benchmarks.table --summary RESULT.json... --into README.md   # between its two comments
    python -m benchmarks.table RESULT.json... --pictures DIR               # and the networks side by side, as SVG and PNG

The comments are `<!-- results -->` and `<!-- end of results -->`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from qcnn_tflite.errors import DataError, QcnnError
from qcnn_tflite.files import write_atomically
from qcnn_tflite.measurement.documents import read
from qcnn_tflite.measurement.pictures import overview_charts, write_pictures
from qcnn_tflite.measurement.table import markdown, summary

_BEGIN, _END = "<!-- results -->\n", "<!-- end of results -->"


def put_into(path: Path, text: str) -> None:
    """Replace what stands between the two comments of a file.

    Raises
    ------
    DataError
        If it cannot be read or has not both of them.
    """
    try:
        page = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise DataError(
            f"{path}: expected the comments {_BEGIN.strip()} and {_END}, one after the other"
        )
    whole = f"{before}{begin}{text}\n{end}{after}"
    write_atomically(path, whole.encode(), overwrite=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--summary", action="store_true", help="a row for every network and run")
    parser.add_argument("--into", type=Path, metavar="FILE", help="a Markdown file to put it into")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="where charts are put")
    args = parser.parse_args()
    results: list[dict[str, Any]] = []
    left_out: list[dict[str, str]] = []
    try:
        for path in args.files:
            document = read(path)
            results += document["results"]
            left_out += document.get("left_out", [])
        text = summary(results) if args.summary else markdown(results, left_out)
        if args.into is not None:
            put_into(args.into, text)
        if args.pictures is not None:
            write_pictures(overview_charts(results), args.pictures)
    except QcnnError as error:
        print(error, file=sys.stderr)
        return 2
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
