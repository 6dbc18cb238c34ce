"""Results as Markdown tables.

python -m benchmarks.table RESULT.json...
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from qcnn_tflite.errors import QcnnError
from qcnn_tflite.measurement.documents import read
from qcnn_tflite.measurement.table import markdown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    args = parser.parse_args()
    results: list[dict[str, Any]] = []
    left_out: list[dict[str, str]] = []
    try:
        for path in args.files:
            document = read(path)
            results += document["results"]
            left_out += document.get("left_out", [])
    except QcnnError as error:
        print(error, file=sys.stderr)
        return 2
    print(markdown(results, left_out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
