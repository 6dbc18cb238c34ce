"""The command line and the output of TensorFlow Lite's stock `benchmark_model`.

The output is as `tensorflow/lite/tools/benchmark/benchmark_model.cc`, its README.md, and
`tensorflow/core/util/stats_calculator.cc` (the profile) print it, TensorFlow 2.3 to 2.21: lines with or without
``INFO:`` before them or what Android's log adds, quantiles since 2.16, ``[start]`` in the profile until 2.5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ...errors import RuntimeMissingError

# Numbers go through C++ streams: 20.5, 3.51239e+06.
_NUMBER = r"([-+.\deE]+)"
_STATISTICS = re.compile(r"count=(\d+)((?: [a-z]\w*=[-+.\deE]+)+)")
_INIT = re.compile(rf"Initialized session in {_NUMBER}ms")
_TIMINGS = re.compile(rf"Inference timings in us: Init: {_NUMBER},.* Inference \(avg\): {_NUMBER}")
_DELTA = re.compile(
    rf"Memory footprint delta from the start of the tool \(MB\): init={_NUMBER} overall={_NUMBER}"
)
_PEAK = re.compile(rf"Overall peak memory footprint \(MB\) via periodic monitoring: {_NUMBER}")
_PROFILE = "Operator-wise Profiling Info for Regular Benchmark Runs:"
_ORDER = re.compile(r"=+ Run Order =+")
_MIB = 1 << 20


@dataclass(frozen=True)
class Report:
    """What one invocation said.

    Attributes
    ----------
    load_ms : float
        From opening the file until it can be run.
    runs : int
        Timed ones.
    ms : float
        The median of an inference, or the mean where the tool does not tell the median.
    is_median : bool
    footprint_bytes : int or None
        The peak of the whole process where it was watched; else what the model added.
    profile : list of dict
        Operators with ``type``, ``name`` and ``ms``, in their order.
    """

    load_ms: float
    runs: int
    ms: float
    is_median: bool
    footprint_bytes: int | None = None
    profile: list[dict[str, Any]] = field(default_factory=list)


def arguments(
    graph: str,
    *,
    threads: int,
    runs: int,
    warmup: int = 1,
    library: str | None = None,
    library_options: str = "",
    profile: bool = False,
    memory: bool = False,
) -> list[str]:
    """Flags for so many timed runs and no more.

    Parameters
    ----------
    graph : str
        Path of the model, on the device.
    threads, runs, warmup : int
    library : str, optional
        Path of our library there.
    library_options : str
        ``key:value;key:value``.
    profile, memory : bool
        Time the operators; watch the peak of memory. Both slow the runs down.
    """
    found = [
        f"--graph={graph}",
        f"--num_threads={threads}",
        f"--num_runs={runs}",
        "--min_secs=0",
        f"--warmup_runs={warmup}",
        "--warmup_min_secs=0",
    ]
    if library is not None:
        found.append(f"--external_delegate_path={library}")
        if library_options:
            found.append(f"--external_delegate_options={library_options}")
    if profile:
        found.append("--enable_op_profiling=true")
    if memory:
        found.append("--report_peak_memory_footprint=true")
    return found


def parse(text: str) -> Report:
    """What the tool printed, standard output and error together.

    Raises
    ------
    RuntimeMissingError
        If it has no timings; the message is the tool's last words.
    """
    timings = _TIMINGS.search(text)
    # The first statistics are of the warm-up, the last before the timings of the timed runs.
    every = _STATISTICS.findall(text[: timings.start()] if timings else "")
    if timings is None or not every:
        raise RuntimeMissingError(f"benchmark_model measured nothing: {last_words(text)}")
    count, rest = every[-1]
    values = dict(pair.split("=") for pair in rest.split())
    median = values.get("median")
    init = _INIT.search(text)
    return Report(
        load_ms=float(init[1]) if init else float(timings[1]) / 1e3,
        runs=int(count),
        ms=float(median or timings[2]) / 1e3,
        is_median=median is not None,
        footprint_bytes=_footprint(text),
        profile=_profile(text),
    )


def last_words(text: str) -> str:
    """The last line that says what went wrong, or the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [
        line
        for line in lines
        if re.search(r"error|fail|cannot|could not|unresolved|not found|denied", line, re.I)
    ]
    return (errors or lines or ["it printed nothing"])[-1]


def _footprint(text: str) -> int | None:
    if peak := _PEAK.search(text):
        return round(float(peak[1]) * _MIB)
    if delta := _DELTA.search(text):
        return round(float(delta[2]) * _MIB)
    return None


def _profile(text: str) -> list[dict[str, Any]]:
    """Rows of the table in the order of the run."""
    _, found, rest = text.partition(_PROFILE)
    order = _ORDER.search(rest)
    if not found or order is None:
        return []
    lines = rest[order.end() :].lstrip("\n").splitlines()
    # Columns are apart by tabs, or since 2.17 by spaces; node types hold single ones.
    head = _cells(lines[0])
    if "[avg ms]" not in head:
        return []
    column = head.index("[avg ms]")
    rows = []
    for line in lines[1:]:
        cells = _cells(line)
        if len(cells) < len(head):
            break
        try:
            rows.append(
                {
                    "type": cells[0],
                    "name": " ".join(cells[len(head) - 1 :]),
                    "ms": float(cells[column]),
                }
            )
        except ValueError:
            break
    return rows


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"\t|\s{2,}", line.strip()) if cell.strip()]
