"""``qcnn-tflite benchmark``; `python -m benchmarks` is the same with more runtimes beside it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import check_output
from . import options

if TYPE_CHECKING:
    from ..measurement.family import Recipe
    from ..measurement.session import Peers

HELP = "measure time, size, memory and accuracy: float, int8 and quantized, in turn"
EXAMPLES = """\
  qcnn-tflite benchmark net.tflite --calibration photos/     makes int8 and quantized, measures all
  qcnn-tflite benchmark net-q.tflite --reference net.tflite
  qcnn-tflite benchmark net-q.tflite --reference net.tflite --images val/ --memory --layers -o net.json
  qcnn-tflite benchmark alexnet vgg16 --weights random --threads 2 -o both.json --pictures pictures/
  qcnn-tflite benchmark net-q.tflite --reference net.tflite --device adb --library libqcnn_ops.so
  qcnn-tflite benchmark --device ios:export.json
"""
_PEERS = ("openvino",)


def add_arguments(parser: argparse.ArgumentParser, peers: tuple[str, ...] = _PEERS) -> None:
    parser.add_argument(
        "models",
        nargs="*",
        metavar="model",
        help="a float model or the name of one, of which the variants are made; or another .tflite, "
        "which is measured as it is",
    )
    parser.add_argument(
        "--reference", metavar="FILE", help="the float .tflite that model comes from"
    )
    parser.add_argument(
        "--variants",
        type=_names,
        metavar="NAMES",
        help="of float, float16, dynamic, int8, q, with commas; default for a float model: float,int8,q",
    )
    parser.add_argument(
        "--config", default="paper", help="of the conversion, as for convert; default: paper"
    )
    parser.add_argument(
        "--calibration",
        metavar="IMAGES",
        help="images for int8 and the conversion alike; without, accuracy means nothing",
    )
    parser.add_argument("--weights", metavar="FILE", help='of a named model, or "random"')
    options.add_preprocessing(parser)
    parser.add_argument(
        "--images",
        metavar="DATA",
        help="measure accuracy: labelled images as for evaluate; of unlabelled ones, agreement alone",
    )
    parser.add_argument("--label-offset", type=int, default=0, metavar="N", help="as for evaluate")
    parser.add_argument(
        "--limit", type=options.positive_int, metavar="N", help="the first N images only"
    )
    parser.add_argument(
        "--memory",
        action="store_true",
        help="also the peak memory of each, in a process of its own (Linux)",
    )
    parser.add_argument(
        "--layers", action="store_true", help="also every layer alone, float beside quantized"
    )
    parser.add_argument(
        "--peers",
        type=_names,
        default=[],
        metavar="NAMES",
        help=f"other runtimes, with commas: {', '.join(peers)}; absent ones are named",
    )
    parser.add_argument(
        "--runs", type=options.positive_int, default=50, metavar="N", help="default: 50"
    )
    parser.add_argument(
        "--warmup",
        type=options.positive_int,
        default=5,
        metavar="N",
        help="untimed runs; default: 5",
    )
    parser.add_argument(
        "--batch", type=options.positive_int, default=1, metavar="N", help="default: 1"
    )
    parser.add_argument(
        "--backend", help="runtime, e.g. ai-edge-litert; default: the first installed"
    )
    parser.add_argument(
        "--min-speedup",
        type=float,
        metavar="X",
        help="exit with 1 if a quantized model is less than X times as fast as float on the stock runtime",
    )
    parser.add_argument(
        "--reference-lrn",
        action="store_true",
        help="give the others our local response normalization only; default: the runtime's, and ours",
    )
    options.add_runtime(parser, threads=1)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the results, JSON")
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="DIR",
        help="draw the results, as SVG and PNG, into this folder",
    )
    parser.add_argument("--work", type=Path, metavar="DIR", help="where made models are kept")
    options.add_force(parser)
    device = parser.add_argument_group(
        "on another machine", "by stock benchmark_model, which must be there or be given"
    )
    device.add_argument(
        "--device",
        metavar="WHERE",
        help="adb or adb:SERIAL, ssh:[USER@]HOST[:PORT]; ios:FILE.json reads what an app exported",
    )
    device.add_argument(
        "--benchmark-model",
        metavar="FILE",
        help="a benchmark_model for it, which is copied, or the path of one there; default there: "
        "/data/local/tmp/benchmark_model (adb), benchmark_model (ssh)",
    )
    device.add_argument(
        "--library", type=Path, metavar="FILE", help="libqcnn_ops.so for its processor"
    )
    device.add_argument("--ssh-config", metavar="FILE", help="of ssh, instead of yours")


def run(args: argparse.Namespace, peers: Mapping[str, Peers] | None = None) -> int:
    """Measure and print.

    Parameters
    ----------
    args : Namespace
    peers : dict of str to Peers, optional
        Other runtimes by name; default: those of the package.
    """
    from ..errors import ConfigError
    from ..measurement import documents
    from ..measurement.session import Session

    _check(args)
    results: list[dict[str, Any]]
    if args.device is not None and args.device.startswith("ios:"):
        from ..measurement.devices.exports import read_export

        if args.models:
            raise ConfigError("--device ios:FILE.json holds results already; leave the models out")
        document = read_export(args.device)
        results, left_out, failed = document["results"], document.get("left_out", []), 0
        if args.output is not None:
            documents.write(args.output, results, left_out)
    else:
        if not args.models:
            raise ConfigError(
                "expected a model to measure: a .tflite, or a name (qcnn-tflite models)"
            )

        def save() -> None:
            if args.output is not None:
                documents.write(args.output, session.results, session.left_out)

        session = Session(_request(args, peers), _say, save)
        try:
            session.run()
        except KeyboardInterrupt:
            _show(args, session.results, session.left_out)
            if args.output is not None and session.results:
                _say(f"interrupted; what was measured is in {args.output}, marked as partial")
            raise
        results, left_out, failed = session.results, session.left_out, session.failed
    _show(args, results, left_out)
    if args.pictures is not None and results:
        from ..measurement.pictures import charts, write_pictures

        for path in write_pictures(charts(results), args.pictures):
            _say(f"wrote {path}")
    if failed:
        return 2
    return int(args.min_speedup is not None and _too_slow(results, args.min_speedup))


def _check(args: argparse.Namespace) -> None:
    """Refuse what could not be written, before any work."""
    from ..errors import ConfigError
    from ..measurement.family import VARIANTS

    if args.output is not None:
        check_output(args.output, overwrite=args.force)
    if args.pictures is not None and args.pictures.is_file():
        raise ConfigError(f"--pictures: {args.pictures} is a file; give a folder")
    for name in args.variants or ():
        if name not in VARIANTS:
            raise ConfigError(f"--variants: expected some of {', '.join(VARIANTS)}, got {name!r}")
    if args.device is not None and (args.batch > 1 or args.images or args.layers or args.peers):
        raise ConfigError(
            "--batch, --images, --layers and --peers are measured on this machine; leave them out with "
            "--device"
        )


def _request(args: argparse.Namespace, peers: Mapping[str, Peers] | None) -> Any:
    from ..errors import ConfigError
    from ..measurement.entry import Settings
    from ..measurement.session import Device, Request, openvino
    from ..runtime import load_delegate

    known = {"openvino": openvino} if peers is None else dict(peers)
    for name in args.peers:
        if name not in known:
            raise ConfigError(f"--peers: expected some of {', '.join(known)}, got {name!r}")
    if args.device is None:
        load_delegate(args.kernel, args.backend)  # refuses an unknown kernel before any work
    device = None
    if args.device is not None:
        default = "benchmark_model" if args.device.startswith("ssh") else Device("").tool
        tool = args.benchmark_model or default
        device = Device(args.device, tool, args.library, args.ssh_config)

    def others(*arguments: Any) -> list[Any]:
        return [entry for name in args.peers for entry in known[name](*arguments)]

    return Request(
        models=args.models,
        reference=args.reference,
        variants=args.variants,
        recipe=recipe(args),
        settings=Settings(args.threads, args.batch, args.kernel, args.backend),
        runs=args.runs,
        warmup=args.warmup,
        stock_lrn=args.stock_lrn,
        reference_lrn=args.reference_lrn,
        images=args.images,
        label_offset=args.label_offset,
        limit=args.limit,
        memory=args.memory,
        layers=args.layers,
        peers=others,
        device=device,
    )


def recipe(args: argparse.Namespace) -> Recipe:
    """How variants are made, from the command line."""
    from ..measurement.family import Recipe

    config = args.config
    if config.lstrip().startswith("{"):
        config = options.read_json(config, "--config")
    return Recipe(
        config=config,
        # As convert has it: "none" is no images, and is said so.
        calibration=None if args.calibration == "none" else args.calibration,
        preprocessing=options.preprocessing(args),
        weights=args.weights,
        **({"folder": args.work} if args.work is not None else {}),
    )


def _show(
    args: argparse.Namespace, results: list[dict[str, Any]], left_out: list[dict[str, str]]
) -> None:
    from ..measurement.table import markdown
    from ..result_document import document

    if args.json:
        print(json.dumps(document(results, left_out), indent=2))
    elif results:
        print(markdown(results, left_out))


def _too_slow(results: list[dict[str, Any]], limit: float) -> bool:
    from ..errors import ConfigError
    from ..measurement.table import runs, speedup

    known = []
    for group in runs(results):
        for result in group:
            if result["variant"] == "q":
                faster = speedup(group, result, "float", "stock")
                if faster is None:  # measured with our normalization only
                    faster = speedup(group, result, "float", "ours")
                known += [] if faster is None else [faster]
    if not known:
        raise ConfigError(
            "--min-speedup compares a quantized model with its float one; give that as --reference"
        )
    return min(known) < limit


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _say(sentence: str) -> None:
    print(f"qcnn-tflite: {sentence}", file=sys.stderr, flush=True)
