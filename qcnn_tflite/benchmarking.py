"""Time, memory and size of a quantized model beside its float twin."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import machine
from .errors import ConfigError, RuntimeMissingError
from .progress import Progress
from .report import text_table
from .runtime import Interpreter, selected_kernel
from .runtime.backend import find_backend
from .sizes import format_bytes, zipped_size

# Runs alternate in blocks, so that a change of clock speed meets both models; each block begins
# with an untimed run, so that neither pays for the caches that the other one emptied.
_BLOCK = 5


@dataclass(frozen=True)
class Timing:
    """One model's size and times.

    Attributes
    ----------
    model : str
    file_bytes, zipped_bytes : int
    load_ms : float
        Opening the file until tensors are allocated.
    median_ms, p90_ms, min_ms : float
        Of one inference.
    runs : int
    """

    model: str
    file_bytes: int
    zipped_bytes: int
    load_ms: float
    median_ms: float
    p90_ms: float
    min_ms: float
    runs: int


@dataclass(frozen=True)
class BenchmarkResult:
    """Times of a model, and of the float model it is compared with.

    Attributes
    ----------
    quantized : Timing
        The model in question.
    reference : Timing or None
        The baseline.
    threads, batch : int
    kernel, baseline : str
        What ran the two: the kernels of QConv and QFC, and the stock runtime.
    machine : dict
        See `qcnn_tflite.machine.describe`.
    versions : dict
    date : str
        UTC, ISO 8601.
    """

    quantized: Timing
    reference: Timing | None
    threads: int
    batch: int
    kernel: str
    baseline: str
    machine: dict[str, Any]
    versions: dict[str, str]
    date: str = field(
        default_factory=lambda: datetime.datetime.now(datetime.timezone.utc).isoformat(
            "T", "seconds"
        )
    )

    @property
    def speedup(self) -> float | None:
        """Median time of the reference by that of the model."""
        return (
            None if self.reference is None else self.reference.median_ms / self.quantized.median_ms
        )

    @property
    def compression(self) -> float | None:
        """File size of the reference by that of the model."""
        return (
            None
            if self.reference is None
            else self.reference.file_bytes / self.quantized.file_bytes
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            **dataclasses.asdict(self),
            "speedup": self.speedup,
            "compression": self.compression,
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        head = ["model", "file", "zipped", "load ms", "median ms", "p90 ms", "min ms"]
        rows = [
            [
                timing.model,
                format_bytes(timing.file_bytes),
                format_bytes(timing.zipped_bytes),
                f"{timing.load_ms:.1f}",
                f"{timing.median_ms:.3f}",
                f"{timing.p90_ms:.3f}",
                f"{timing.min_ms:.3f}",
            ]
            for timing in (self.reference, self.quantized)
            if timing is not None
        ]
        lines = text_table(head, rows, right=range(1, 7))
        lines.append("")
        if self.speedup is not None:
            faster = (
                f"{self.speedup:.2f}x faster"
                if self.speedup >= 1
                else (f"{1 / self.speedup:.2f}x slower")
            )
            lines.append(
                f"{self.compression:.2f}x smaller, {faster} than the reference on {self.baseline}"
            )
        lines.append(
            f"{self.machine['cpu']}, {self.machine['instruction_set']}, {self.threads} thread"
            f"{'s' if self.threads > 1 else ''}, batch {self.batch}, kernel {self.kernel}, "
            f"{self.quantized.runs} runs, {self.date}"
        )
        return "\n".join(lines)


def benchmark(
    model: str | os.PathLike[str],
    reference: str | os.PathLike[str] | None = None,
    *,
    threads: int = 1,
    batch: int = 1,
    runs: int = 50,
    warmup: int = 5,
    kernel: str = "auto",
    backend: str | None = None,
    progress: bool | None = None,
) -> BenchmarkResult:
    """Time a model, and a float reference in turn with it, on random input.

    Parameters
    ----------
    model : path
        Usually the quantized ``.tflite``.
    reference : path, optional
        Usually the float ``.tflite`` that it was made from.
    threads, batch : int
    runs : int
        Timed inferences of each model.
    warmup : int
        Untimed inferences of each before.
    kernel, backend : str
        As for `qcnn_tflite.Interpreter`.
    progress : bool, optional
        Show a progress bar on stderr; default: if that is a terminal.

    Raises
    ------
    ModelError
        If a model cannot be read or run.
    ConfigError
        If a number is out of range.
    """
    for name, value in (("threads", threads), ("batch", batch), ("runs", runs)):
        if value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value}")
    paths = [Path(p) for p in (model, reference) if p is not None]
    contenders = [_Contender(path, threads, batch, kernel, backend) for path in paths]
    for contender in contenders:
        for _ in range(max(warmup, 1)):
            contender.run()
    done = 0
    with Progress(runs, "runs", progress) as bar:
        while done < runs:
            block = min(_BLOCK, runs - done)
            for contender in contenders:
                contender.run()
                contender.seconds += [contender.run() for _ in range(block)]
            done += block
            bar.advance(block)
    timings = [contender.timing() for contender in contenders]
    runtime, _ = find_backend(backend)
    return BenchmarkResult(
        quantized=timings[0],
        reference=timings[1] if reference is not None else None,
        threads=threads,
        batch=batch,
        kernel=selected_kernel() if kernel == "auto" else kernel,
        baseline=f"{runtime} {machine.versions().get(runtime, '')}".rstrip(),
        machine=machine.describe(),
        versions=machine.versions(),
    )


class _Contender:
    """One model with its input set, ready to run."""

    def __init__(
        self, path: Path, threads: int, batch: int, kernel: str, backend: str | None
    ) -> None:
        self.path = path
        self.seconds: list[float] = []
        start = time.perf_counter()
        self.interpreter = Interpreter(
            model_path=str(path), num_threads=threads, kernel=kernel, backend=backend
        )
        details = self.interpreter.get_input_details()
        if batch > 1:
            for detail in details:
                shape = [batch, *(int(n) for n in detail["shape"][1:])]
                self.interpreter.resize_tensor_input(detail["index"], shape)
        self.interpreter.allocate_tensors()
        self._load_ms = 1e3 * (time.perf_counter() - start)
        random = np.random.default_rng(0)
        for detail in self.interpreter.get_input_details():
            self.interpreter.set_tensor(detail["index"], _sample(random, detail))

    def run(self) -> float:
        start = time.perf_counter()
        self.interpreter.invoke()
        return time.perf_counter() - start

    def timing(self) -> Timing:
        ms = 1e3 * np.asarray(self.seconds)
        return Timing(
            model=self.path.name,
            file_bytes=self.path.stat().st_size,
            zipped_bytes=zipped_size(self.path),
            load_ms=self._load_ms,
            median_ms=float(np.median(ms)),
            p90_ms=float(np.quantile(ms, 0.9)),
            min_ms=float(ms.min()),
            runs=len(self.seconds),
        )


def _sample(random: np.random.Generator, detail: dict[str, Any]) -> NDArray[Any]:
    shape, dtype = detail["shape"], np.dtype(detail["dtype"])
    if dtype.kind == "f":
        values: NDArray[Any] = random.standard_normal(shape).astype(dtype)
        return values
    return np.ones(shape, dtype)


def peak_memory(
    path: str | os.PathLike[str],
    *,
    threads: int = 1,
    kernel: str = "auto",
    backend: str | None = None,
) -> int:
    """Bytes by which loading a model and running it once raise a fresh process's peak memory.

    Raises
    ------
    RuntimeMissingError
        If that process fails.
    """
    command = [sys.executable, "-m", "qcnn_tflite.benchmarking"]
    request = json.dumps(
        {"path": str(path), "threads": threads, "kernel": kernel, "backend": backend}
    )
    done = subprocess.run([*command, request], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RuntimeMissingError(f"{path} did not run in a process of its own: {last}")
    return int(done.stdout.split()[-1])


def _peak_bytes() -> int:
    """Peak resident memory of this process.

    Not from ``getrusage`` on Linux: its value survives ``exec`` and would count the parent's memory.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _measure_in_this_process(path: str, threads: int, kernel: str, backend: str | None) -> int:
    find_backend(backend)  # its own code is not the model's memory
    before = _peak_bytes()
    _Contender(Path(path), threads, 1, kernel, backend).run()
    return _peak_bytes() - before


if __name__ == "__main__":
    print(_measure_in_this_process(**json.loads(sys.argv[1])))
