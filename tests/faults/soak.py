"""Invokes quantized models many times, and looks whether the process grows.

    python tests/faults/soak.py --invocations 200000

Half of the invocations are of one interpreter, with two threads; the others of interpreters that are made
anew every hundred invocations, in two threads, of every golden model in turn, with a delegate of their
own or a shared one. After a first tenth resident memory, descriptors, threads and the memory of our layers
are noted; at the end they must be what they were (memory to within 4 MiB, what the allocator may keep).
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil

from qcnn_tflite.runtime import Interpreter, load_delegate, memory_usage
from qcnn_tflite.runtime.backend import find_backend

GOLDEN = Path(__file__).parents[2] / "custom_ops" / "tests" / "golden" / "q"
_ROUND = 100
_SLACK = 4 << 20


def prepared(interpreter: object, seed: int) -> object:
    """Tensors allocated, an input set."""
    interpreter.allocate_tensors()  # type: ignore[attr-defined]
    (detail,) = interpreter.get_input_details()  # type: ignore[attr-defined]
    x = np.random.default_rng(seed).standard_normal(detail["shape"]).astype(np.float32)
    interpreter.set_tensor(detail["index"], x)  # type: ignore[attr-defined]
    return interpreter


def state() -> dict[str, int]:
    """What must not grow."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    process = psutil.Process()
    return {
        "rss": process.memory_info().rss,
        "descriptors": process.num_fds(),
        "threads": process.num_threads(),
        "layers": sum(memory_usage()),
    }


def soak(invocations: int) -> dict[str, object]:
    """Run them; the states after a tenth and at the end."""
    models = sorted(GOLDEN.glob("*.tflite"))
    lasting = prepared(Interpreter(GOLDEN / "network.tflite", num_threads=2), 0)
    _, module = find_backend()
    shared = load_delegate()

    def fresh(number: int) -> None:
        path = models[number % len(models)]
        if number % 2:
            interpreter = Interpreter(path, num_threads=1 + number % 4)
        else:
            interpreter = module.Interpreter(
                model_path=str(path), num_threads=1 + number % 4, experimental_delegates=[shared]
            )
        prepared(interpreter, number)
        for _ in range(_ROUND):
            interpreter.invoke()

    first: dict[str, int] = {}
    start = time.monotonic()
    rounds = invocations // (2 * _ROUND)
    with ThreadPoolExecutor(2) as pool:
        # A multiple of two rounds at a time, so that both threads are idle when the state is taken.
        for done in range(0, rounds, 2):
            list(pool.map(fresh, (done, done + 1)))
            for _ in range(2 * _ROUND):
                lasting.invoke()  # type: ignore[attr-defined]
            if not first and done >= rounds // 10:
                first = state()
        last = state()
    return {
        "invocations": rounds * 2 * _ROUND,
        "interpreters": rounds + 1,
        "seconds": round(time.monotonic() - start),
        "after_a_tenth": first,
        "at_the_end": last,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invocations", type=int, default=200_000)
    result = soak(parser.parse_args().invocations)
    print(json.dumps(result), flush=True)
    first, last = result["after_a_tenth"], result["at_the_end"]
    assert isinstance(first, dict) and isinstance(last, dict)
    grown = {
        k: last[k] - first[k] for k in first if last[k] > first[k] + (_SLACK if k == "rss" else 0)
    }
    if grown:
        print(f"grown: {grown}", file=sys.stderr)
    return int(bool(grown))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(main())
