"""Compares two result files, say of a branch and of main: what became slower, larger or less accurate.

    python -m benchmarks.check MAIN.json BRANCH.json               # exits with 1 if anything became worse
    python -m benchmarks.check MAIN.json BRANCH.json --tolerance 0.05

Times are compared by ratio to stock float of the same interleaved run, where both files have it: a machine that is
busier today is busier for both. Only what goes beyond the noise counts, which is measured from the samples: the
median of each run is drawn again from its blocks (bootstrap).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcnn_tflite.errors import DataError, QcnnError
from qcnn_tflite.interleaving import BLOCK
from qcnn_tflite.measurement.documents import read
from qcnn_tflite.measurement.table import label, runs
from qcnn_tflite.report import text_table

Result = dict[str, Any]
_DRAWS = 2000
# Standard errors, of about 95 %.
_WIDE = 1.96
# Resident memory of equal processes differs by pages.
_MEMORY_TOLERANCE = 0.03


@dataclass(frozen=True)
class Change:
    """One quantity of one result.

    Parameters
    ----------
    what : str
        Network, variant and threads.
    quantity : str
    before, after : float
    noise : float
        Relative change that means nothing; of an accuracy, in points.
    more_is_better : bool
        An accuracy: compared by difference, in points.
    """

    what: str
    quantity: str
    before: float
    after: float
    noise: float
    more_is_better: bool = False

    @property
    def change(self) -> float:
        """Relative, or of an accuracy in points; positive is worse."""
        if self.more_is_better:
            return self.before - self.after
        return self.after / self.before - 1

    @property
    def verdict(self) -> str:
        """``worse``, ``better`` or nothing."""
        if abs(self.change) <= self.noise:
            return ""
        return "worse" if self.change > 0 else "better"


def compare(
    before: Sequence[Result], after: Sequence[Result], tolerance: float = 0.0
) -> tuple[list[Change], list[str]]:
    """Every quantity that both files have.

    Parameters
    ----------
    before, after : sequence of dict
        Results.
    tolerance : float
        Relative change of a time that is never called worse or better.

    Returns
    -------
    changes : list of Change
    notes : list of str
        What could not be compared.
    """
    old, new = _by_key(before), _by_key(after)
    notes = [f"{_name(k)}: only before" for k in old if k not in new]
    notes += [f"{_name(k)}: only after" for k in new if k not in old]
    changes: list[Change] = []
    machines = set()
    for key in (k for k in new if k in old):
        (a, group_a), (b, group_b) = old[key], new[key]
        if _machine(a) == _machine(b):
            time = _time(_name(key), a, group_a, b, group_b, tolerance)
            changes += [] if time is None else [time]
        else:
            machines.add((_machine(a), _machine(b)))
        changes += _others(_name(key), a, b)
    notes += [f"times are not compared: {a} before, {b} after" for a, b in sorted(machines)]
    return changes, notes


def _by_key(results: Sequence[Result]) -> dict[tuple[Any, ...], tuple[Result, list[Result]]]:
    """Results by what they are of, each with its interleaved run; the last one counts."""
    return {
        (r["model"], label(r), r["threads"], r["batch"], r.get("device", "")): (r, group)
        for group in runs(results)
        for r in group
        if "partial" not in r
    }


def _name(key: tuple[Any, ...]) -> str:
    model, variant, threads, batch, device = key
    more = [f"{threads} threads"] * (threads > 1) + [f"batch {batch}"] * (batch > 1)
    return ", ".join([model, variant, *more, *[device] * bool(device)])


def _machine(result: Result) -> str:
    return f"{result['machine']['cpu']}, {result['machine']['instruction_set']}"


def _time(
    what: str,
    a: Result,
    group_a: Iterable[Result],
    b: Result,
    group_b: Iterable[Result],
    tolerance: float,
) -> Change | None:
    random = np.random.default_rng(0)
    bases = [_baseline(group, result) for group, result in ((group_a, a), (group_b, b))]
    values, spread = [], 0.0
    relative = None not in bases
    if relative and a is bases[0]:
        return None  # what the others are compared with
    for result, base in zip((a, b), bases, strict=True):
        logs = np.log(_medians(result["samples_ms"], random))
        value = result["summary_ms"]["median"]
        if relative and base is not None:
            logs = logs - np.log(_medians(base["samples_ms"], random))
            value /= base["summary_ms"]["median"]
        values.append(value)
        spread += float(logs.var())
    noise = max(tolerance, _WIDE * float(np.sqrt(spread)))
    return Change(what, "time by float's" if relative else "time, ms", *values, noise)


def _baseline(group: Iterable[Result], result: Result) -> Result | None:
    for other in group:
        if other["variant"] == "float" and other.get("lrn", "stock") == "stock":
            return other
    return None


def _medians(samples: Sequence[float], random: np.random.Generator) -> NDArray[np.float64]:
    """Medians of the samples drawn again, block by block: neighbours in time resemble each other."""
    values = np.asarray(samples, np.float64)
    # Of fewer than two blocks, nothing is known of the noise between blocks.
    size = BLOCK if len(values) >= 2 * BLOCK else 1
    blocks = values[: len(values) // size * size].reshape(-1, size)
    chosen = random.integers(len(blocks), size=(_DRAWS, len(blocks)))
    return np.median(blocks[chosen].reshape(_DRAWS, -1), axis=1)


def _others(what: str, a: Result, b: Result) -> list[Change]:
    found = [
        Change(what, name, a["sizes"][key], b["sizes"][key], 0.001)
        for name, key in (("file, bytes", "file"), ("zipped, bytes", "zipped"))
        if a["sizes"].get(key)
    ]
    memories = [r.get("memory", {}).get("peak_rss_bytes", r.get("footprint_bytes")) for r in (a, b)]
    if all(memories):
        found.append(Change(what, "peak memory, bytes", *memories, _MEMORY_TOLERANCE))
    for name in ("top1", "top5"):
        shares = [r.get("accuracy", {}).get(name) for r in (a, b)]
        if None in shares:
            continue
        counts = [r["accuracy"]["images"] for r in (a, b)]
        variance = sum(p * (1 - p) / n for p, n in zip(shares, counts, strict=True))
        points = [100 * share for share in shares]
        noise = 100 * _WIDE * float(np.sqrt(variance))
        found.append(Change(what, f"top-{name[-1]}, %", *points, noise, more_is_better=True))
    return found


def show(changes: Sequence[Change], notes: Sequence[str]) -> str:
    """A table, what became worse first."""
    order = {"worse": 0, "better": 1, "": 2}
    rows = [
        [
            c.what,
            c.quantity,
            f"{c.before:.6g}",
            f"{c.after:.6g}",
            f"{c.after - c.before:+.2f}" if c.more_is_better else f"{100 * c.change:+.1f} %",
            f"{c.noise:.2f}" if c.more_is_better else f"{100 * c.noise:.1f} %",
            c.verdict,
        ]
        for c in sorted(changes, key=lambda c: order[c.verdict])
    ]
    head = ["what", "quantity", "before", "after", "change", "noise", ""]
    worse = sum(c.verdict == "worse" for c in changes)
    better = sum(c.verdict == "better" for c in changes)
    end = f"{len(changes)} compared: {worse} worse, {better} better, the others within the noise"
    return "\n".join([*text_table(head, rows, right=range(2, 6)), *notes, end])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.02,
        metavar="X",
        help="relative change of a time that never counts; default: 0.02",
    )
    args = parser.parse_args()
    try:
        changes, notes = compare(
            read(args.before)["results"], read(args.after)["results"], args.tolerance
        )
        if not changes:
            raise DataError(f"{args.before} and {args.after} have nothing in common to compare")
    except QcnnError as error:
        print(error, file=sys.stderr)
        return 2
    print(show(changes, notes))
    return int(any(change.verdict == "worse" for change in changes))


if __name__ == "__main__":
    sys.exit(main())
