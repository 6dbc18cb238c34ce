"""Peak memory of a network in a fresh process, float beside int8 and quantized.

    python benchmarks/memory.py [NETWORK...]                       # default: alexnet
    python benchmarks/memory.py alexnet --json out.json            # writes it into those results
    python benchmarks/memory.py alexnet --at-most 6                # exits with 1 if q needs over 1/6 of float

Linux only: the measure is VmHWM.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script
    sys.path.append(str(Path(__file__).parents[1]))

from benchmarks import documents, subjects
from benchmarks.model_files import default_folder, model_file
from benchmarks.table import label
from qcnn_tflite.errors import QcnnError, RuntimeMissingError
from qcnn_tflite.runtime import library_path
from qcnn_tflite.sizes import format_bytes

CHILD = Path(__file__).with_name("peak_rss.py")
RUNS = 10
_VARIANTS = ("float", "int8", "q")


def peak_rss(
    model: Path,
    *,
    delegate: bool,
    kernel: str = "auto",
    lrn: bool = True,
    threads: int = 1,
    runs: int = RUNS,
) -> int:
    """Bytes of VmHWM of a fresh process that loads `model` and runs it.

    Parameters
    ----------
    model : Path
    delegate : bool
        Load the library of our ops.
    kernel, lrn
        Of that library, as for `qcnn_tflite.Interpreter`.
    threads, runs : int

    Raises
    ------
    RuntimeMissingError
        If that process fails.
    """
    command = [sys.executable, "-I", str(CHILD), str(model), str(runs), str(threads)]
    if delegate:
        command += [str(library_path()), f"kernel={kernel}", *([] if lrn else ["lrn=0"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RuntimeMissingError(f"{model} did not run in a process of its own: {last}")
    return int(done.stdout.split()[-1])


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
