"""The kernels against TensorFlow Lite's float and int8 ones (XNNPACK), all in one interleaved run.

    python benchmarks/kernels.py                                   # AlexNet, its FC layers, CNN-S, VGG-16
    python benchmarks/kernels.py alexnet --runs 60 --json out.json --openvino

Weights are random: what they are does not change the time. The first run makes the models, which takes
minutes, and keeps them in --work. Networks with LRN are measured with stock TensorFlow Lite's and with
ours. Needs `pip install '.[bench]'`; see CONTRIBUTING.md.
"""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script
    sys.path.append(str(Path(__file__).parents[1]))

from benchmarks import documents, subjects
from benchmarks.memory import add_memory
from benchmarks.model_files import default_folder, forget
from benchmarks.variants import Settings, entries
from qcnn_tflite.errors import QcnnError
from qcnn_tflite.files import check_output
from qcnn_tflite.measurement import entry, run
from qcnn_tflite.measurement.table import markdown
from qcnn_tflite.runtime import load_delegate


def measure(
    what: subjects.Subject, settings: Settings, *, runs: int, warmup: int = 5
) -> list[dict[str, Any]]:
    """Results of every variant of a network, from one interleaved run."""

    def leave_out(variant: str, reason: str) -> None:
        _say(f"{what.name}, {variant}: left out: {reason}")

    found = entries(what, settings, leave_out)
    shared = entry.Settings(settings.threads, kernel=settings.kernel)
    results, left_out = run.measure(what.name, found, shared, runs=runs, warmup=warmup)
    for one in left_out:
        leave_out(one["variant"], one["reason"])
    return results


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "networks",
        nargs="*",
        default=subjects.DEFAULT,
        metavar="NETWORK",
        help=f"default: {' '.join(subjects.DEFAULT)}",
    )
    parser.add_argument("--threads", type=_positive, default=1, metavar="N", help="default: 1")
    parser.add_argument("--runs", type=_positive, default=60, metavar="N", help="default: 60")
    parser.add_argument("--kernel", default="auto", help="of our ops; default: auto")
    parser.add_argument("--openvino", action="store_true", help="also OpenVINO's int8")
    parser.add_argument(
        "--memory", action="store_true", help="also the peak memory of each, see memory.py"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the results")
    parser.add_argument(
        "--work",
        type=Path,
        default=default_folder(),
        metavar="DIR",
        help="where the models are kept; default: %(default)s",
    )
    parser.add_argument("--fresh", action="store_true", help="make the models anew")
    args = parser.parse_args()
    settings = Settings(
        args.work,
        args.threads,
        args.kernel,
        peers=("openvino",) if args.openvino else (),
    )
    results: list[dict[str, Any]] = []
    try:
        if args.json is not None:
            check_output(args.json, overwrite=True)
        load_delegate(args.kernel)  # refuses an unknown kernel before any work
        chosen = [subjects.subject(name) for name in args.networks]
        for what in chosen:
            if args.fresh:
                forget(what.name, args.work)
            found = measure(what, settings, runs=args.runs)
            gc.collect()  # the models of one network at a time
            if args.memory:
                add_memory(found, args.work, kernel=args.kernel)
            print(markdown(found), end="\n\n", flush=True)
            results += found
            if args.json is not None:  # after every network: a later failure loses nothing
                documents.write(args.json, results)
    except QcnnError as error:
        _say(str(error))
        return 2
    except KeyboardInterrupt as stop:
        if args.json is not None and isinstance(stop, run.Interrupted):
            results += stop.results
            documents.write(args.json, results)
        kept = f"; they are in {args.json}" if args.json is not None and results else ""
        _say(f"interrupted after {len(results)} results{kept}")
        return 130
    return 0


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
