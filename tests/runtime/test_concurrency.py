"""Threads, and interpreters beside each other: the same answers, and nothing kept."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_golden import GOLDEN, golden
from runtime_models import Conv, Fc, convert, inputs

from qcnn_tflite.runtime import Interpreter, kernels, load_delegate, memory_usage
from qcnn_tflite.runtime.backend import find_backend

KERNELS = [kernel.name for kernel in kernels() if kernel.available]
THREADS = (1, 2, 3, 4, 8)
ODD = {
    "conv": (Conv((37, 23), 19, 45, (3, 3), options={"padding": "SAME"}), {"d": 4, "K": 29}),
    "stride": (Conv((31, 29), 7, 67, (5, 3), options={"stride": (2, 3)}), {"d": 3, "K": 100}),
    "groups": (Conv((17, 41), 15, 33, (3, 5), groups=3), {"d": 2, "K": 7, "scale": True}),
    "1x1": (Conv((53, 3), 65, 131, (1, 1)), {"d": 8, "K": 128, "dtype": "float16"}),
    "fc": (Fc((1, 1021), 1021, 509), {"d": 4, "K": 32}),
    "rows": (Fc((13, 257), 257, 127), {"d": 8, "K": 256}),
}
SOAK = Path(__file__).parents[1] / "faults" / "soak.py"


def answer(interpreter: Any, x: np.ndarray) -> np.ndarray:
    interpreter.allocate_tensors()
    (detail,) = interpreter.get_input_details()
    interpreter.set_tensor(detail["index"], x.reshape(detail["shape"]))
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("case", ODD)
def test_the_number_of_threads_changes_nothing(case: str, kernel: str) -> None:
    layer, constants = ODD[case]
    model, x = convert(layer.add, **constants), inputs(layer.input_shape)
    first, *others = (
        answer(Interpreter(model_content=model, num_threads=n, kernel=kernel), x) for n in THREADS
    )
    assert np.abs(first).max() > 0
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("order", ["first made first", "last made first", "delegate first"])
def test_one_delegate_serves_several_models_in_every_order_of_teardown(order: str) -> None:
    before = memory_usage()
    _, module = find_backend()
    paths = [GOLDEN / "q" / f"{name}.tflite" for name in ("conv-groups", "fc-wide", "network")]
    delegate = load_delegate()
    made = {
        path: module.Interpreter(model_path=str(path), experimental_delegates=[delegate])
        for path in paths
    }
    if order == "delegate first":  # the interpreters keep it
        del delegate
    for path in paths if order == "first made first" else reversed(paths):
        for other, interpreter in made.items():
            x, wanted = golden(other)
            error = np.linalg.norm(answer(interpreter, x).ravel() - wanted)
            assert error <= 1e-2 * np.linalg.norm(wanted)
            del interpreter
        del made[path]
        gc.collect()
    assert memory_usage() == before


def test_interpreters_made_and_given_up_by_several_threads() -> None:
    before = memory_usage()
    paths = sorted((GOLDEN / "q").glob("conv-*.tflite"))

    def work(number: int) -> bool:
        path = paths[number % len(paths)]
        x, wanted = golden(path)
        y = answer(Interpreter(path, num_threads=1 + number % 4), x).ravel()
        return bool(np.linalg.norm(y - wanted) <= 1e-2 * np.linalg.norm(wanted))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(2 * len(paths))))
    gc.collect()
    assert memory_usage() == before


def test_a_short_soak() -> None:
    """The 200,000 invocations of docs/reliability.md are as many of the same."""
    done = subprocess.run(
        [sys.executable, str(SOAK), "--invocations", "8000"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["invocations"] == 8000
