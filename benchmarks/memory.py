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
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script
    sys.path.append(str(Path(__file__).parents[1]))

from benchmarks import documents, subjects
from benchmarks.model_files import default_folder, model_file
from benchmarks.variants import Settings
from qcnn_tflite.errors import QcnnError, RuntimeMissingError
from qcnn_tflite.runtime import library_path
from qcnn_tflite.sizes import format_bytes

CHILD = Path(__file__).with_name("peak_rss.py")
RUNS = 10
_VARIANTS = ("float", "int8", "q")


def peak_rss(
    model: Path, *, delegate: bool, kernel: str = "auto", threads: int = 1, runs: int = RUNS
) -> int:
    """Bytes of VmHWM of a fresh process that loads `model` and runs it.

    Parameters
    ----------
    model : Path
    delegate : bool
        Load the library of our ops.
    kernel : str
    threads, runs : int

    Raises
    ------
    RuntimeMissingError
        If that process fails.
    """
    command = [sys.executable, "-I", str(CHILD), str(model), str(runs), str(threads)]
    if delegate:
        command += [str(library_path()), f"kernel={kernel}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RuntimeMissingError(f"{model} did not run in a process of its own: {last}")
    return int(done.stdout.split()[-1])


def add_memory(
    results: Iterable[dict[str, Any]], settings: Settings, *, say: Callable[[str], None]
) -> None:
    """Measure and fill in the memory of the TensorFlow Lite results among `results`."""
    peaks: dict[tuple[str, str], int] = {}
    for result in results:
        key = name, variant = result["model"], result["variant"]
        if variant not in _VARIANTS:
            continue
        if key not in peaks:
            path = model_file(name, variant, settings.folder)
            say(f"{name}, {variant}: measuring memory")
            peaks[key] = peak_rss(
                path,
                delegate=variant == "q",
                kernel=settings.kernel,
                threads=settings.threads,
            )
        # Of stock LRN and ours alike: neither keeps anything.
        result["memory"] = {"peak_rss_bytes": peaks[key], "runs": RUNS}


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
    settings = Settings(args.work, kernel=args.kernel)
    code = 0
    try:
        results = documents.read(args.json) if args.json is not None else []
        for name in args.networks:
            subjects.subject(name)
            peaks = [{"model": name, "variant": variant} for variant in _VARIANTS]
            add_memory(peaks, settings, say=lambda _: None)
            found = {peak["variant"]: peak["memory"] for peak in peaks}
            base = found["float"]["peak_rss_bytes"]
            for variant, memory in found.items():
                peak = memory["peak_rss_bytes"]
                print(f"{name}, {variant}: {format_bytes(peak)}, 1/{base / peak:.2f} of float")
                if variant == "q" and args.at_most is not None and peak * args.at_most > base:
                    code = 1
            for result in results:
                if (
                    result["model"] == name
                    and result["variant"] in found
                    and result["threads"] == 1
                ):
                    result["memory"] = found[result["variant"]]
        if args.json is not None:
            documents.write(args.json, results)
    except QcnnError as error:
        print(error, file=sys.stderr)
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
