"""Runs the golden models on one runtime, every kernel that this processor has, and prints a line of JSON.

    python run_golden.py LIBQCNN_OPS tensorflow
    python run_golden.py LIBQCNN_OPS /path/to/libtensorflowlite_c.so

A program of its own, with numpy and the runtime alone: the oldest runtimes do not live beside what
qcnn_tflite needs, and a crash is seen by the exit code. The line says what ran; the exit code is 1
when something answered wrongly.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import json
import math
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parents[2] / "custom_ops" / "tests" / "golden"
# Float sums in another order, and tables in int16; relative to the norm of the answer.
EXACT, TABLES = 1e-5, 1e-2
THREADS = (1, 3)
Run = Callable[[Path, np.ndarray, str, int], np.ndarray]


def golden(name: Path) -> tuple[np.ndarray, np.ndarray]:
    """The input and the answer beside a model, flat."""
    lines = name.with_suffix(".txt").read_text().splitlines()
    x, y = (np.array(line.split()[1:], np.float32) for line in lines)
    return x, y


def norm(values: np.ndarray) -> float:
    """Without BLAS, which crashes on some processors that qemu pretends to be."""
    return math.sqrt(float(np.square(values, dtype=np.float64).sum()))


def kernels(library: ctypes.CDLL) -> list[str]:
    """Kernels of this build that this processor can run."""
    name, features, available = ctypes.c_char_p(), ctypes.c_char_p(), ctypes.c_int()
    found, index = [], 0
    at = ctypes.c_size_t
    while not library.qcnn_kernels(
        at(index), ctypes.byref(name), ctypes.byref(features), ctypes.byref(available)
    ):
        if available.value and name.value:
            found.append(name.value.decode())
        index += 1
    return found


def of_python(module: str, library: str) -> tuple[str, Run]:
    """Version of a Python runtime, and how to run a model on it."""
    if module == "tensorflow":
        lite = importlib.import_module("tensorflow").lite
        interpreter, load = lite.Interpreter, lite.experimental.load_delegate
    else:
        found = importlib.import_module(f"{module}.interpreter")
        interpreter, load = found.Interpreter, found.load_delegate

    def run(path: Path, x: np.ndarray, kernel: str, threads: int) -> np.ndarray:
        made = interpreter(
            model_path=str(path),
            num_threads=threads,
            experimental_delegates=[load(library, options={"kernel": kernel})],
        )
        made.allocate_tensors()
        (detail,) = made.get_input_details()
        made.set_tensor(detail["index"], x.reshape(detail["shape"]))
        made.invoke()
        return np.asarray(made.get_tensor(made.get_output_details()[0]["index"])).ravel()

    for name in (module, f"{module}-cpu"):
        try:
            return importlib.metadata.version(name.replace("_", "-")), run
        except importlib.metadata.PackageNotFoundError:
            continue
    return "?", run


class CLibrary:
    """TensorFlow Lite's C API by ctypes, our ops by `qcnn_register_ops_with` or by the delegate."""

    def __init__(self, path: str, ops: ctypes.CDLL, delegate: bool) -> None:
        self.c, self.ops, self.delegate = ctypes.CDLL(path, ctypes.RTLD_GLOBAL), ops, delegate
        pointer = ctypes.c_void_p
        for name in (
            "TfLiteModelCreateFromFile", "TfLiteInterpreterOptionsCreate", "TfLiteInterpreterCreate",
            "TfLiteInterpreterGetInputTensor", "TfLiteInterpreterGetOutputTensor", "TfLiteTensorData",
        ):  # fmt: skip
            getattr(self.c, name).restype = pointer
        self.c.TfLiteTensorByteSize.restype = ctypes.c_size_t
        self.c.TfLiteVersion.restype = ctypes.c_char_p
        ops.qcnn_delegate_create.restype = pointer

    def version(self) -> str:
        return str(self.c.TfLiteVersion().decode())

    def run(self, path: Path, x: np.ndarray, kernel: str, threads: int) -> np.ndarray:
        c, pointer = self.c, ctypes.c_void_p
        model = pointer(c.TfLiteModelCreateFromFile(str(path).encode()))
        options = pointer(c.TfLiteInterpreterOptionsCreate())
        c.TfLiteInterpreterOptionsSetNumThreads(options, threads)
        delegate = None
        if self.delegate:
            delegate = pointer(self.ops.qcnn_delegate_create(kernel.encode(), 0))
            c.TfLiteInterpreterOptionsAddDelegate(options, delegate)
        else:
            builtin = getattr(c, "TfLiteInterpreterOptionsAddBuiltinOp", None)
            code = self.ops.qcnn_register_ops_with(
                c.TfLiteInterpreterOptionsAddCustomOp, builtin, options, kernel.encode(), 0
            )
            if code:
                raise RuntimeError(f"qcnn_register_ops_with: {code}")
        made = pointer(c.TfLiteInterpreterCreate(model, options))
        try:
            if not made or c.TfLiteInterpreterAllocateTensors(made):
                raise RuntimeError("refused")
            source = pointer(c.TfLiteInterpreterGetInputTensor(made, 0))
            size = c.TfLiteTensorByteSize(source)
            if size != x.nbytes or c.TfLiteTensorCopyFromBuffer(
                source, x.ctypes.data_as(pointer), ctypes.c_size_t(x.nbytes)
            ):
                raise RuntimeError(f"the input takes {size} bytes, not {x.nbytes}")
            if c.TfLiteInterpreterInvoke(made):
                raise RuntimeError("Invoke failed")
            target = pointer(c.TfLiteInterpreterGetOutputTensor(made, 0))
            y = np.empty(c.TfLiteTensorByteSize(target) // 4, np.float32)
            c.TfLiteTensorCopyToBuffer(target, y.ctypes.data_as(pointer), ctypes.c_size_t(y.nbytes))
            return y
        finally:
            if made:
                c.TfLiteInterpreterDelete(made)
            c.TfLiteInterpreterOptionsDelete(options)
            c.TfLiteModelDelete(model)
            if delegate:
                self.ops.qcnn_delegate_delete(delegate)


def check(run: Run, kernel: str) -> dict[str, Any]:
    """Every golden model with a kernel: how many ran, the worst error, and what went wrong."""
    worst, wrong, models = (
        0.0,
        [],
        sorted(GOLDEN.glob("*.tflite")) + sorted(GOLDEN.glob("q/*.tflite")),
    )
    for path in models:
        x, wanted = golden(path)
        try:
            answers = [run(path, x, kernel, threads) for threads in THREADS]
        except Exception as error:
            wrong.append(f"{path.stem}: {error}")
            continue
        error = norm(answers[0] - wanted) / norm(wanted)
        worst = max(worst, error)
        # NaN is no small error.
        if not error <= (EXACT if kernel == "reference" else TABLES):
            wrong.append(f"{path.stem}: error {error:.2g}")
        # The builtin ops of the host in between may sum in another order.
        if path.stem != "network" and not all(np.array_equal(a, answers[0]) for a in answers):
            wrong.append(f"{path.stem}: depends on the number of threads")
    for path in sorted(GOLDEN.glob("q/refused/*.tflite")):
        try:
            run(path, np.ones(golden(GOLDEN / "q" / f"{path.stem.split('-')[0]}-3-bits")[0].shape,
                              np.float32), kernel, 1)  # fmt: skip
            wrong.append(f"{path.stem}: not refused")
        except Exception as error:
            # The C API says why through an error reporter, not in its status.
            if "update qcnn_tflite" not in str(error) and str(error) != "refused":
                wrong.append(f"{path.stem}: refused with {error}")
    return {"models": len(models), "worst": worst, "wrong": wrong}


def main(library: str, runtime: str) -> int:
    ops = ctypes.CDLL(library)
    ops.qcnn_selected_kernel.restype = ctypes.c_char_p
    runs: dict[str, Run]
    if runtime.endswith(".so") or os.path.sep in runtime:
        registered, delegated = (CLibrary(runtime, ops, way) for way in (False, True))
        name, version = "libtensorflowlite_c", registered.version()
        runs = {"registered": registered.run, "delegate": delegated.run}
    else:
        name = runtime.replace("_", "-")
        version, run = of_python(runtime, library)
        runs = {"delegate": run}
    results = {
        f"{kernel}, {way}" if len(runs) > 1 else kernel: check(run, kernel)
        for kernel in kernels(ops)
        for way, run in runs.items()
    }
    document = {
        "runtime": name,
        "version": version,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "selected": ops.qcnn_selected_kernel().decode(),
        "kernels": results,
    }
    print(json.dumps(document), flush=True)
    return int(any(r["wrong"] for r in results.values()))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
