"""``qcnn-tflite benchmark``."""

from __future__ import annotations

import argparse
import json

from ..sizes import format_bytes
from . import options

HELP = "measure time, memory and size, in turn with the float model"
EXAMPLES = """\
  qcnn-tflite benchmark net-q.tflite --reference net.tflite
  qcnn-tflite benchmark net-q.tflite --reference net.tflite --threads 4 --memory --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a .tflite, usually the quantized one")
    parser.add_argument("--reference", metavar="FILE", help="the float .tflite to compare with")
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
        "--memory",
        action="store_true",
        help="also the peak memory of each, in a process of its own",
    )
    parser.add_argument(
        "--min-speedup",
        type=float,
        metavar="X",
        help="exit with 1 if the model is less than X times as fast as the reference",
    )
    parser.add_argument(
        "--reference-lrn",
        action="store_true",
        help="give the reference our local response normalization too; default: the runtime's own",
    )
    options.add_runtime(parser, threads=1)


def run(args: argparse.Namespace) -> int:
    import qcnn_tflite

    from ..benchmarking import peak_memory
    from ..errors import ConfigError

    if args.min_speedup is not None and args.reference is None:
        raise ConfigError("--min-speedup compares with a float model; give it as --reference")
    result = qcnn_tflite.benchmark(
        args.model,
        args.reference,
        threads=args.threads,
        batch=args.batch,
        runs=args.runs,
        warmup=args.warmup,
        kernel=args.kernel,
        backend=args.backend,
        lrn=not args.stock_lrn,
        reference_lrn=args.reference_lrn,
    )
    memory = {}
    if args.memory:
        for path, lrn in ((args.reference, args.reference_lrn), (args.model, not args.stock_lrn)):
            if path is not None:
                memory[path] = peak_memory(
                    path, threads=args.threads, kernel=args.kernel, backend=args.backend, lrn=lrn
                )
    if args.json:
        # Fit for benchmarks/schema/result-1.json; the rest is what it does not ask for.
        values = {**result.to_document(), **result.to_dict()}
        if memory:
            values["peak_memory_bytes"] = memory
        print(json.dumps(values, indent=2))
    else:
        print(result)
        for path, peak in memory.items():
            print(f"peak memory of {path}: {format_bytes(peak)}")
    speedup = result.speedup
    return int(args.min_speedup is not None and speedup is not None and speedup < args.min_speedup)
