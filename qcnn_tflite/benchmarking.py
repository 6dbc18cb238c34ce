"""Time, memory and size of a quantized model beside its float twin."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import machine, result_document
from .errors import ConfigError, RuntimeMissingError
from .graph.variant import describe_variant
from .interleaving import TFLiteContender, interleave
from .progress import Progress
from .report import text_table
from .result_document import file_sizes, summary
from .runtime import Interpreter, selected_kernel
from .runtime.backend import find_backend
from .sizes import format_bytes


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
    samples_ms : tuple of float
        Of every run.
    variant : str
        See `qcnn_tflite.graph.variant.describe_variant`.
    lrn : {"stock", "ours"} or None
        Who ran its local response normalizations; None if it has none.
    packed_bytes, scratch_bytes : int
        Constants as the kernels of QConv and QFC keep them, and what they work in.
    """

    model: str
    file_bytes: int
    zipped_bytes: int
    load_ms: float
    median_ms: float
    p90_ms: float
    min_ms: float
    runs: int
    samples_ms: tuple[float, ...] = ()
    variant: str = "float"
    lrn: str | None = None
    packed_bytes: int = 0
    scratch_bytes: int = 0

    @property
    def sizes(self) -> dict[str, int]:
        """As `benchmarks/schema/result-1.json` names them."""
        sizes = {"file": self.file_bytes, "zipped": self.zipped_bytes}
        if self.packed_bytes:
            sizes |= {"repacked": self.packed_bytes, "scratch": self.scratch_bytes}
        return sizes


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
    date: str = field(default_factory=result_document.now)

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

    def to_document(self) -> dict[str, Any]:
        """As `benchmarks/schema/result-1.json` says, which other measurements share."""
        name, _, version = self.baseline.partition(" ")
        return result_document.document(
            result_document.result(
                model=timing.model,
                variant=timing.variant,
                samples_ms=timing.samples_ms,
                load_ms=timing.load_ms,
                sizes=timing.sizes,
                runtime=(name, version),
                threads=self.threads,
                batch=self.batch,
                kernel=self.kernel if timing.variant == "q" or timing.lrn == "ours" else None,
                date=self.date,
                lrn=timing.lrn,
                machine=self.machine,
                versions=self.versions,
            )
            for timing in (self.reference, self.quantized)
            if timing is not None
        )

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
        lines += [
            f"kernels of {t.model} hold {format_bytes(t.packed_bytes)} of repacked weights and "
            f"{format_bytes(t.scratch_bytes)} of scratch memory"
            for t in (self.reference, self.quantized)
            if t and t.packed_bytes
        ]
        norms = [f"{t.model}: {t.lrn}" for t in (self.reference, self.quantized) if t and t.lrn]
        if norms:
            lines.append(f"local response normalization of {', '.join(norms)}")
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
    lrn: bool = True,
    reference_lrn: bool = False,
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
    lrn, reference_lrn : bool
        Run local response normalizations of the model, of the reference, with our kernels. By
        default the reference is timed as a stock runtime runs it.
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
    chosen = [(Path(model), lrn)]
    if reference is not None:
        chosen.append((Path(reference), reference_lrn))
    contenders = [_contender(path, threads, batch, kernel, backend, ours) for path, ours in chosen]
    with Progress(runs, "runs", progress) as bar:
        samples = interleave(contenders, runs, warmup=warmup, advance=bar.advance)
    timings = [
        _timing(contender, times, ours)
        for contender, times, (_, ours) in zip(contenders, samples, chosen, strict=True)
    ]
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


def _contender(
    path: Path, threads: int, batch: int, kernel: str, backend: str | None, lrn: bool
) -> TFLiteContender:
    def open_model() -> Interpreter:
        return Interpreter(
            model_path=str(path), num_threads=threads, kernel=kernel, backend=backend, lrn=lrn
        )

    return TFLiteContender(path, open_model, batch)


def _timing(contender: TFLiteContender, samples_ms: list[float], lrn: bool) -> Timing:
    sizes, times = file_sizes(contender.path), summary(samples_ms)
    variant, has_lrn = describe_variant(contender.path)
    return Timing(
        model=contender.path.name,
        file_bytes=sizes["file"],
        zipped_bytes=sizes["zipped"],
        load_ms=contender.load_ms,
        median_ms=times["median"],
        p90_ms=times["p90"],
        min_ms=times["min"],
        runs=len(samples_ms),
        samples_ms=tuple(samples_ms),
        variant=variant,
        lrn=("ours" if lrn else "stock") if has_lrn else None,
        packed_bytes=contender.memory.packed,
        scratch_bytes=contender.memory.scratch,
    )


def peak_memory(
    path: str | os.PathLike[str],
    *,
    threads: int = 1,
    kernel: str = "auto",
    backend: str | None = None,
    lrn: bool = True,
) -> int:
    """Bytes by which loading a model and running it once raise a fresh process's peak memory.

    Raises
    ------
    RuntimeMissingError
        If that process fails.
    """
    command = [sys.executable, "-m", "qcnn_tflite.benchmarking"]
    request = json.dumps(
        {
            "path": str(path),
            "threads": threads,
            "kernel": kernel,
            "backend": backend,
            "lrn": lrn,
        }
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
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _measure_in_this_process(
    path: str, threads: int, kernel: str, backend: str | None, lrn: bool
) -> int:
    find_backend(backend)  # its own code is not the model's memory
    before = _peak_bytes()
    _contender(Path(path), threads, 1, kernel, backend, lrn).run()
    return _peak_bytes() - before


if __name__ == "__main__":
    print(_measure_in_this_process(**json.loads(sys.argv[1])))
