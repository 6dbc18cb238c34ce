"""Measurements as JSON: `benchmarks/schema/result-1.json` says what every field means."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import machine as this_machine
from .sizes import zipped_size

# Raised by an incompatible change only: fields that are added are optional, and readers skip those
# that they do not know.
FORMAT = 1


def document(
    results: Iterable[Mapping[str, Any]], left_out: Sequence[Mapping[str, str]] = ()
) -> dict[str, Any]:
    """A document of some results.

    Parameters
    ----------
    results : iterable of dict
    left_out : sequence of dict
        What was asked for and not measured: ``model``, ``variant`` and ``reason``.
    """
    found: dict[str, Any] = {"format": FORMAT, "results": [dict(result) for result in results]}
    if left_out:
        found["left_out"] = [dict(entry) for entry in left_out]
    return found


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds")


def summary(samples_ms: Sequence[float]) -> dict[str, float]:
    """Median, quantiles and minimum."""
    p10, median, p90 = np.quantile(np.asarray(samples_ms, np.float64), (0.1, 0.5, 0.9))
    return {
        "median": float(median),
        "p10": float(p10),
        "p90": float(p90),
        "min": float(min(samples_ms)),
    }


def file_sizes(*paths: Path) -> dict[str, int]:
    """Bytes of a model's file or files, as they are and zipped."""
    return {
        "file": sum(path.stat().st_size for path in paths),
        "zipped": sum(zipped_size(path) for path in paths),
    }


def result(
    *,
    model: str,
    variant: str,
    samples_ms: Sequence[float],
    load_ms: float,
    sizes: Mapping[str, int],
    runtime: tuple[str, str],
    threads: int,
    batch: int,
    kernel: str | None,
    date: str,
    lrn: str | None = None,
    machine: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """One result.

    Parameters
    ----------
    model : str
        The network, or the file.
    variant : str
        ``"float"``, ``"int8"``, ``"q"`` or another.
    samples_ms : sequence of float
        Every timed run.
    load_ms : float
    sizes : mapping
        At least `file_sizes`.
    runtime : (str, str)
        Name and version.
    threads, batch : int
    kernel : str or None
        Of this project's ops; None where none of them ran.
    date : str
        Of the run: results of one interleaved run share it.
    lrn : {"stock", "ours"}, optional
        What ran local response normalization; None in networks without.
    machine : mapping, optional
        Default: this one.
    versions : mapping, optional
        Packages beside those of `qcnn_tflite.machine.versions`.

    Returns
    -------
    dict
        Fit for JSON.
    """
    found: dict[str, Any] = {
        "model": model,
        "variant": variant,
        "machine": dict(machine or this_machine.describe()),
        "kernel": kernel,
        "threads": threads,
        "batch": batch,
        "runtime": {"name": runtime[0], "version": runtime[1]},
        "versions": {**this_machine.versions(), **(versions or {})},
        "date": date,
        "samples_ms": [round(float(ms), 6) for ms in samples_ms],
        "summary_ms": summary(samples_ms),
        "load_ms": load_ms,
        "sizes": dict(sizes),
    }
    if lrn is not None:
        found["lrn"] = lrn
    return found
