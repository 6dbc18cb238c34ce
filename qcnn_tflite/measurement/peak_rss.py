"""Loads a model, runs it ten times on one thread, and prints this process's peak memory in bytes.

    python -I qcnn_tflite/measurement/peak_rss.py MODEL RUNS THREADS [LIBRARY [OPTION=VALUE...]]

It imports numpy and the interpreter only, not the package: what an application would. LIBRARY is the
native library of the custom ops.
"""

from __future__ import annotations

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, load_delegate


def main(model: str, runs: str, threads: str, library: str | None = None, *options: str) -> None:
    delegates = []
    if library is not None:
        delegates.append(load_delegate(library, dict(pair.split("=", 1) for pair in options)))
    interpreter = Interpreter(model, num_threads=int(threads), experimental_delegates=delegates)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], np.ones(detail["shape"], detail["dtype"]))
    for _ in range(int(runs)):
        interpreter.invoke()
    with open("/proc/self/status", encoding="ascii") as file:
        print(next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:")))


if __name__ == "__main__":
    main(*sys.argv[1:])
