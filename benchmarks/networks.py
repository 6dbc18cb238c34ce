"""The table of the README: six networks and one with real weights more, float, int8 and quantized, in one run.

    python -m benchmarks.networks -o benchmarks/results/networks.json [--work FOLDER] [--packages FOLDER]
    python -m benchmarks.table --summary benchmarks/results/networks.json --into README.md --pictures docs/assets/results

Every network is measured with one thread and with two; with one also its peak memory and, where there are real
weights and images, its accuracy. AlexNet, CNN-S and VGG-16 have random weights, which do not change the time. Files and
packages are those of `benchmarks.accuracy_at_size`; what is missing is left out and named. `--work` keeps the
models that are made, half an hour for ResNet-50.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.accuracy_at_size import ROWS, calibration, validation, weights_file
from qcnn_tflite.cli.options import positive_int
from qcnn_tflite.errors import QcnnError
from qcnn_tflite.files import check_output
from qcnn_tflite.measurement import documents
from qcnn_tflite.measurement.entry import Settings
from qcnn_tflite.measurement.family import Recipe
from qcnn_tflite.measurement.session import Request, Session
from qcnn_tflite.measurement.table import summary

# Networks with random weights, and rows of `benchmarks.accuracy_at_size`.
RANDOM = ("alexnet", "cnn_s", "vgg16")
REAL = ("paper", "resnet50", "mobilenet_v1", "efficientnet_lite0")


@dataclass(frozen=True)
class Subject:
    """What is measured of one network.

    Parameters
    ----------
    network : str
        A named model.
    recipe : Recipe
    images : str or None
    label_offset : int
    """

    network: str
    recipe: Recipe
    images: str | None = None
    label_offset: int = 0


def subject(name: str, packages: Path, work: Path) -> Subject:
    """Of `RANDOM` or `REAL`."""
    if name in RANDOM:
        return Subject(name, Recipe(weights="random", folder=work))
    row = ROWS[name]
    weights = weights_file(row, packages)
    recipe = Recipe(
        config=row.settings["config"],
        calibration=str(calibration(row, work)),
        weights=None if weights is None else str(weights),
        folder=work,
    )
    return Subject(row.network, recipe, str(validation(row, work)), row.label_offset)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = RANDOM + REAL
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(every))
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    parser.add_argument("--threads", type=positive_int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=positive_int, default=60, metavar="N")
    parser.add_argument("--packages", type=Path, default=Path("."), help="folder of npm packages")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where made models are kept")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite the output")
    args = parser.parse_args()
    for name in args.names:
        if name not in every:
            parser.error(f"there is no {name!r}; expected some of: {', '.join(every)}")
    results: list[dict[str, Any]] = []
    left_out: list[dict[str, str]] = []
    try:
        check_output(args.output, overwrite=args.force)
        with tempfile.TemporaryDirectory() as scratch:
            work = args.work or Path(scratch)
            work.mkdir(parents=True, exist_ok=True)
            for name in args.names or every:
                try:
                    found = subject(name, args.packages, work)
                except OSError as error:
                    left_out.append({"model": name, "variant": "all", "reason": str(error)})
                    continue
                for threads in args.threads:
                    _measure(found, threads, args, results, left_out)
    except QcnnError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        kept = f"{args.output} has what was measured" if results else "nothing is finished yet"
        print(f"interrupted; {kept}", file=sys.stderr)
        return 130
    print(summary(results))
    for entry in left_out:
        print(f"left out: {entry['model']}, {entry['variant']}: {entry['reason']}")
    return 0 if results else 2


def _measure(
    found: Subject,
    threads: int,
    args: argparse.Namespace,
    results: list[dict[str, Any]],
    left_out: list[dict[str, str]],
) -> None:
    """One network with so many threads; what there is is saved after it, and on Ctrl-C."""
    request = Request(
        models=[found.network],
        recipe=found.recipe,
        settings=Settings(threads=threads),
        runs=args.runs,
        images=found.images if threads == args.threads[0] else None,
        label_offset=found.label_offset,
        memory=threads == args.threads[0],
    )

    def save() -> None:
        documents.write(args.output, [*results, *session.results], [*left_out, *session.left_out])

    session = Session(request, lambda text: print(text, file=sys.stderr, flush=True), save)
    try:
        session.run()
    except QcnnError as error:
        left_out.append({"model": found.network, "variant": "all", "reason": str(error)})
    finally:
        results += session.results
        left_out += session.left_out


if __name__ == "__main__":
    sys.exit(main())
