"""Peak memory of a network in a fresh process, float beside int8 and quantized.

    python benchmarks/memory.py [NETWORK...]                       # default: alexnet
    python benchmarks/memory.py alexnet --json out.json            # writes it into those results
    python benchmarks/memory.py alexnet --at-most 6                # exits with 1 if q needs over 1/6 of float

Linux only: the measure is VmHWM.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script
    sys.path.append(str(Path(__file__).parents[1]))

from benchmarks import documents, subjects
from benchmarks.model_files import default_folder, model_file
from qcnn_tflite.errors import QcnnError
from qcnn_tflite.measurement.memory import RUNS, peak_rss
from qcnn_tflite.measurement.table import label
from qcnn_tflite.sizes import format_bytes

_VARIANTS = ("float", "int8", "q")


def add_memory(results: Iterable[dict[str, Any]], folder: Path, *, kernel: str = "auto") -> None:
    """Measure and fill in the memory of the TensorFlow Lite results among `results`.

    Each is measured as it was timed: stock ones without our library, threads as they say.
    """
    for result in results:
        variant, lrn = result["variant"], result.get("lrn")
        if variant in _VARIANTS:
            peak = peak_rss(
                model_file(result["model"], variant, folder),
                delegate=variant == "q" or lrn == "ours",
                kernel=kernel,
                lrn=lrn != "stock",
                threads=result["threads"],
            )
            result["memory"] = {"peak_rss_bytes": peak, "runs": RUNS}


def _rows(name: str) -> list[dict[str, Any]]:
    """What is measured of a network that no results were given of: stock float and int8, and ours."""
    lrn = subjects.subject(name).has_lrn
    return [
        {
            "model": name,
            "variant": variant,
            "threads": 1,
            **({"lrn": "ours" if variant == "q" else "stock"} if lrn else {}),
        }
        for variant in _VARIANTS
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", default=["alexnet"], metavar="NETWORK")
    parser.add_argument("--kernel", default="auto", help="of our ops; default: auto")
    parser.add_argument("--json", type=Path, metavar="FILE", help="results to write it into")
    parser.add_argument(
        "--at-most", type=float, metavar="X", help="exit with 1 if q needs over 1/X of float"
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=default_folder(),
        metavar="DIR",
        help="where the models are kept; default: %(default)s",
    )
    args = parser.parse_args()
    code = 0
    try:
        results = documents.read(args.json) if args.json is not None else []
        for name in args.networks:
            rows = [result for result in results if result["model"] == name] or _rows(name)
            add_memory(rows, args.work, kernel=args.kernel)
            rows = [row for row in rows if "memory" in row]
            base = next(
                row["memory"]["peak_rss_bytes"] for row in rows if row["variant"] == "float"
            )
            for row in rows:
                peak = row["memory"]["peak_rss_bytes"]
                print(f"{name}, {label(row)}: {format_bytes(peak)}, 1/{base / peak:.2f} of float")
                if row["variant"] == "q" and args.at_most is not None:
                    code |= peak * args.at_most > base
        if args.json is not None:
            documents.write(args.json, results)
    except QcnnError as error:
        print(error, file=sys.stderr)
        return 2
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
