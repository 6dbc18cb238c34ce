"""``qcnn-tflite quickstart``: everything once, offline, with figures and a picture."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import OutputError, OutputExistsError
from ..picture import Panel, draw_comparison
from ..sizes import format_bytes
from . import options

HELP = "convert, evaluate, benchmark and draw an embedded network, offline"
EXAMPLES = """\
  qcnn-tflite quickstart
  qcnn-tflite quickstart -o /tmp/tour -f
"""

_LARGE = "alexnet"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        default="qcnn-quickstart",
        metavar="FOLDER",
        help="for the models, the picture and the figures; default: qcnn-quickstart",
    )
    parser.add_argument(
        "--no-large",
        action="store_true",
        help=f"leave out the second part, {_LARGE} at its real size",
    )
    options.add_force(parser)


def run(args: argparse.Namespace) -> int:
    started = time.perf_counter()
    target = Path(args.output)
    say = _Narrator(sys.stderr if args.json else sys.stdout)
    with _new_folder(target, overwrite=args.force) as folder:
        results: dict[str, Any] = {"small": _small_network(folder, say)}
        if not args.no_large:
            results["large"] = _large_network(folder, say)
        results["seconds"] = time.perf_counter() - started
        (folder / "results.json").write_text(json.dumps(results, indent=2), encoding="utf-8")
    if args.json:
        print(json.dumps({"folder": str(target), **results}, indent=2))
    else:
        print(
            f"\n{results['seconds']:.0f} s. In {target}: the models, results.json and quickstart.png"
        )
        print(
            "Next, your own network: qcnn-tflite convert NET.tflite --calibration FOLDER_OF_IMAGES"
        )
    return 0


def _small_network(folder: Path, say: _Narrator) -> dict[str, Any]:
    """The embedded network, with accuracy."""
    import qcnn_tflite
    from qcnn_tflite import models

    name = models.DEFAULT
    model, twin = folder / f"{name}-q.tflite", folder / f"{name}.tflite"
    say.step(f"converting {name}, a small network trained on Fashion-MNIST, on 500 images")
    result = qcnn_tflite.convert(
        name, model, calibration=models.calibration_images(), float_output=twin
    )
    say.block(result.report)
    say.step("classifying 2,000 test images with both")
    evaluation = qcnn_tflite.evaluate(model, models.test_images(), twin)
    say.block(evaluation)
    say.step("timing both in turn")
    benchmark = qcnn_tflite.benchmark(model, twin)
    say.block(benchmark)
    (folder / "quickstart.png").write_bytes(_picture(result.report, evaluation, benchmark))
    return {
        "conversion": result.report.to_dict(),
        "evaluation": evaluation.to_dict(),
        "benchmark": benchmark.to_dict(),
    }


def _large_network(folder: Path, say: _Narrator) -> dict[str, Any]:
    """A network of real size with random weights: file, memory and time, no accuracy."""
    import qcnn_tflite

    from ..benchmarking import peak_memory

    model, twin = folder / f"{_LARGE}-q.tflite", folder / f"{_LARGE}.tflite"
    say.step(f"converting {_LARGE} with random weights: real size and speed, no accuracy")
    result = qcnn_tflite.convert(_LARGE, model, weights="random", float_output=twin)
    say.block(result.report)
    say.step("timing both in turn")
    benchmark = qcnn_tflite.benchmark(model, twin, runs=20)
    say.block(benchmark)
    memory = {"float": peak_memory(twin), "quantized": peak_memory(model)}
    say.block(
        f"peak memory of one inference in a fresh process: float {format_bytes(memory['float'])}, "
        f"quantized {format_bytes(memory['quantized'])}"
    )
    return {
        "conversion": result.report.to_dict(),
        "benchmark": benchmark.to_dict(),
        "peak_memory_bytes": memory,
    }


def _picture(report: Any, evaluation: Any, benchmark: Any) -> bytes:
    quick, slow = benchmark.quantized, benchmark.reference
    speed = benchmark.speedup
    panels = [
        Panel(
            "top-1 accuracy",
            evaluation.reference_top1,
            evaluation.top1,
            f"{evaluation.reference_top1:.2%}",
            f"{evaluation.top1:.2%}",
            f"{-evaluation.top1_drop:+.2f} points",
            limit=1.0,
        ),
        Panel(
            "file size",
            report.float_bytes,
            report.quantized_bytes,
            format_bytes(report.float_bytes),
            format_bytes(report.quantized_bytes),
            f"{report.compression:.1f}x smaller",
        ),
        Panel(
            f"latency, median of {quick.runs}",
            slow.median_ms,
            quick.median_ms,
            f"{slow.median_ms:.2f} ms",
            f"{quick.median_ms:.2f} ms",
            f"{speed:.1f}x faster" if speed >= 1 else f"{1 / speed:.1f}x slower",
        ),
    ]
    machine = benchmark.machine
    return draw_comparison(
        "Fashion-MNIST: float beside product-quantized",
        f"{evaluation.images:,} test images, preset {report.config}, converted in {report.seconds:.0f} s",
        panels,
        f"{machine['cpu']}, {machine['instruction_set']}, {benchmark.threads} thread, "
        f"{benchmark.baseline}, kernel {benchmark.kernel}, {benchmark.date[:10]}",
    )


class _Narrator:
    """Says what is under way, on the stream that results do not go to when they are JSON."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def step(self, text: str) -> None:
        print(f"\n== {text}\n", file=self._stream, flush=True)

    def block(self, what: object) -> None:
        print(what, file=self._stream, flush=True)


@contextlib.contextmanager
def _new_folder(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """A folder that appears as `target` only when everything in it is done.

    With `overwrite`, its files replace those of the same name; others stay.
    """
    if target.exists() and not overwrite:
        raise OutputExistsError(
            f"{target} exists already; choose another folder with -o, or overwrite with -f"
        )
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target} is a file; choose another folder with -o")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise OutputError(
            f"no folder can be made beside {target} ({error.strerror}); choose another with -o"
        ) from error
    try:
        yield temporary
        temporary.chmod(0o755)
        if target.exists():
            for file in temporary.iterdir():
                os.replace(file, target / file.name)
        else:
            temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
