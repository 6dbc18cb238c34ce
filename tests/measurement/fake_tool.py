#!/usr/bin/env python3
"""Stands in for TensorFlow Lite's `benchmark_model`: runs the model really, prints as the tool prints.

The format is that of `tensorflow/lite/tools/benchmark/benchmark_model.cc` and README.md and
`tensorflow/core/util/stats_calculator.cc`, version 2.16. Flags that the tool does not know end it.
"""

import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter, load_delegate

KNOWN = {
    "graph", "num_threads", "num_runs", "min_secs", "warmup_runs", "warmup_min_secs",
    "external_delegate_path", "external_delegate_options", "enable_op_profiling",
    "report_peak_memory_footprint",
}  # fmt: skip
HEAD = "{:>40}{:>17}{:>16}{:>15}{:>16}{:>18}{:>22}  {}"


def say(text):
    # The tool logs to standard error.
    print(f"INFO: {text}", file=sys.stderr, flush=True)


def statistics(microseconds):
    values = sorted(microseconds)
    text = f"count={len(values)}"
    if len(values) > 1:
        text += f" first={microseconds[0]}"
    text += f" curr={microseconds[-1]}"
    if len(values) > 1:
        text += (
            f" min={values[0]} max={values[-1]} avg={np.mean(values):.6g} std={np.std(values):.0f}"
        )
    p5, median, p95 = (values[int(q * (len(values) - 1))] for q in (0.05, 0.5, 0.95))
    return f"{text} p5={p5} median={median} p95={p95}"


def run(interpreter, count):
    found = []
    for _ in range(count):
        start = time.perf_counter()
        interpreter.invoke()
        found.append(max(1, round(1e6 * (time.perf_counter() - start))))
    return found


def rows(title, named):
    print(f"============================== {title} ==============================")
    head = (
        "[node type]",
        "[first]",
        "[avg ms]",
        "[%]",
        "[cdf%]",
        "[mem KB]",
        "[times called]",
        "[Name]",
    )
    print(HEAD.format(*head))
    for kind, name, ms in named:
        print(HEAD.format(kind, f"{ms:.3f}", f"{ms:.3f}", "50.000%", "50.000%", "0.000", 1, name))
    print()


def main():
    flags = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
    if unknown := set(flags) - KNOWN:
        sys.exit(f"ERROR: Unconsumed cmdline flags: --{' --'.join(sorted(unknown))}")
    say("STARTING!")
    say("Log parameter values verbosely: [0]")
    say(f"Graph: [{flags['graph']}]")
    delegates = []
    if "external_delegate_path" in flags:
        pairs = [p.split(":") for p in flags.get("external_delegate_options", "").split(";") if p]
        delegates.append(load_delegate(flags["external_delegate_path"], dict(pairs)))
        say("EXTERNAL delegate created.")
    start = time.perf_counter()
    try:
        interpreter = Interpreter(
            flags["graph"],
            num_threads=int(flags["num_threads"]),
            experimental_delegates=delegates,
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        sys.exit("ERROR: Benchmarking failed.")
    init = round(1e6 * (time.perf_counter() - start))
    say("The input model file size (MB): 0.158912")
    say(f"Initialized session in {init / 1e3}ms.")
    say(
        "Running benchmark for at least 1 iterations and at least 0 seconds but terminate if exceeding 150 seconds."
    )
    warm = run(interpreter, int(flags["warmup_runs"]))
    say(statistics(warm) + "\n")
    say(
        "Running benchmark for at least 5 iterations and at least 0 seconds but terminate if exceeding 150 seconds."
    )
    timed = run(interpreter, int(flags["num_runs"]))
    say(statistics(timed) + "\n")
    say(
        f"Inference timings in us: Init: {init}, First inference: {warm[0]}, Warmup (avg): "
        f"{np.mean(warm):.6g}, Inference (avg): {np.mean(timed):.6g}"
    )
    say(
        "Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE"
    )
    say("Memory footprint delta from the start of the tool (MB): init=1.5 overall=2.25")
    if flags.get("report_peak_memory_footprint") == "true":
        say("Overall peak memory footprint (MB) via periodic monitoring: 12.5")
    if flags.get("enable_op_profiling") == "true":
        sys.stderr.flush()
        print("INFO: Profiling Info for Benchmark Initialization:")
        rows("Run Order", [("AllocateTensors", "AllocateTensors/0", 1.0)])
        print("INFO: Operator-wise Profiling Info for Regular Benchmark Runs:")
        named = [
            ("QConv", "[conv1]:0", 0.25),
            ("Fully Connected (NC, F32) GEMM", "Delegate/fc:0", 0.5),
        ]
        rows("Run Order", named)
        rows("Top by Computation Time", named[::-1])


if __name__ == "__main__":
    main()
