"""Results as Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..sizes import format_bytes
from . import entry

_BASELINES = (("float", "stock"), ("int8", "stock"), ("float", "ours"), ("int8", "ours"))


def markdown(results: Sequence[dict[str, Any]], left_out: Sequence[dict[str, str]] = ()) -> str:
    """A table for every network and run, and below it what it was measured on."""
    parts = [_table(group) for group in runs(results)]
    if left_out:
        lines = [f"- {e['model']}, {e['variant']}: {e['reason']}" for e in left_out]
        parts.append("\n".join(["Not measured:", "", *lines]))
    return "\n\n".join(parts)


def summary(results: Sequence[dict[str, Any]]) -> str:
    """One row for every network and run: quantized beside float and int8.

    Ratios are to the runtime's own kernels, and with our local response normalization in both.
    """
    head = ["network", "threads", "quantized ms", "float ms", "int8 ms", "over float", "over int8"]
    head += [
        "with our LRN in both",
        "file: float, int8, quantized",
        "peak memory, likewise",
        "top-1, likewise",
        "top-5, likewise",
    ]
    rows = []
    for group in runs(results):
        known = {(r["variant"], r.get("lrn", "stock")): r for r in group}
        float_, int8 = known.get(("float", "stock")), known.get(("int8", "stock"))
        q = known.get(("q", "ours")) or known.get(("q", "stock"))
        if q is None:
            continue
        ratios = [speedup(group, q, v, "stock") for v in ("float", "int8")]
        ours = [speedup(group, q, v, "ours") for v in ("float", "int8")]
        rows.append(
            [
                q["model"],
                str(q["threads"]),
                *(
                    "" if r is None else f"{r['summary_ms']['median']:.3g}"
                    for r in (q, float_, int8)
                ),
                *("" if ratio is None else f"{ratio:.2f}x" for ratio in ratios),
                ", ".join(f"{ratio:.2f}x" for ratio in ours if ratio is not None),
                _each(lambda r: format_bytes(r["sizes"]["file"]), float_, int8, q),
                _each(_memory, float_, int8, q),
                _each(lambda r: _share(r, "top1"), float_, int8, q),
                _each(lambda r: _share(r, "top5"), float_, int8, q),
            ]
        )
    kept = [i for i in range(len(head)) if any(row[i] for row in rows)]
    lines = [_line(head[i] for i in kept), _line(["---"] + ["---:"] * (len(kept) - 1))]
    lines += [_line(row[i] for i in kept) for row in rows]
    where = dict.fromkeys(conditions(group, threads=False, time=False) for group in runs(results))
    return "\n".join([*lines, "", *where])


def _each(text: Callable[[dict[str, Any]], str], *results: dict[str, Any] | None) -> str:
    """``243.87 MB, 61.26 MB, 13.24 MB``; a dash where it is not known."""
    every = ["" if result is None else text(result) for result in results]
    return ", ".join(found or "–" for found in every) if any(every) else ""


def runs(results: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Results that belong together: of one network, in one interleaved run."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for result in results:
        key = (result["model"], result["date"], result["threads"], result["batch"])
        groups.setdefault(key, []).append(result)
    return list(groups.values())


def thread_count(result: dict[str, Any]) -> str:
    """``2 threads``."""
    threads = result["threads"]
    return f"{threads} thread{'s' if threads > 1 else ''}"


def label(result: dict[str, Any]) -> str:
    """``int8, our LRN``."""
    return entry.label(result["variant"], result.get("lrn"))


def speedup(
    results: Iterable[dict[str, Any]], result: dict[str, Any], variant: str, lrn: str
) -> float | None:
    """Median time of a baseline by that of `result`; None where the baseline was not measured.

    Networks without LRN have one baseline a variant, which is their stock one.
    """
    for other in results:
        if other["variant"] == variant and other.get("lrn", "stock") == lrn:
            return other["summary_ms"]["median"] / result["summary_ms"]["median"]
    return None


def _table(group: list[dict[str, Any]]) -> str:
    first = group[0]
    baselines = [
        (variant, lrn)
        for variant, lrn in _BASELINES
        if speedup(group, first, variant, lrn) is not None
    ]
    head = [first["model"], "median ms", "p10", "p90"]
    head += [f"over {v}" if n == "stock" else f"over {v}, our LRN" for v, n in baselines]
    columns = [column for column in _COLUMNS if any(column.cell(result) for result in group)]
    head += [column.head for column in columns]
    lines = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
    for result in group:
        times = result["summary_ms"]
        row = [label(result), *(f"{times[name]:.3f}" for name in ("median", "p10", "p90"))]
        row += [f"{speedup(group, result, *baseline):.2f}x" for baseline in baselines]
        lines.append(_line([*row, *(column.cell(result) for column in columns)]))
    notes = [
        f"{label(result)} is partial, {result['partial']}"
        for result in group
        if "partial" in result
    ]
    return "\n".join([*lines, "", *[f"{note}  " for note in notes], conditions(group)])


@dataclass(frozen=True)
class _Column:
    """One that is left out where all of its cells are empty."""

    head: str
    cell: Callable[[dict[str, Any]], str]


def _share(result: dict[str, Any], name: str) -> str:
    value = result.get("accuracy", {}).get(name)
    return "" if value is None else f"{100 * value:.2f} %"


def _memory(result: dict[str, Any]) -> str:
    peak = result.get("memory", {}).get("peak_rss_bytes")
    return "" if peak is None else format_bytes(peak)


def _footprint(result: dict[str, Any]) -> str:
    peak = result.get("footprint_bytes")
    return "" if peak is None else format_bytes(peak)


_COLUMNS = (
    _Column("load ms", lambda result: f"{result['load_ms']:.0f}"),
    _Column("file", lambda result: format_bytes(result["sizes"]["file"])),
    _Column("zipped", lambda result: format_bytes(result["sizes"]["zipped"])),
    _Column("peak memory", _memory),
    _Column("memory, as the tool reports it", _footprint),
    _Column("top-1", lambda result: _share(result, "top1")),
    _Column("top-5", lambda result: _share(result, "top5")),
    _Column("same first class as float", lambda result: _share(result, "agreement")),
)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def conditions(group: Sequence[dict[str, Any]], *, threads: bool = True, time: bool = True) -> str:
    """What a run was measured on, for people.

    Parameters
    ----------
    group : sequence of dict
    threads : bool
        Say how many.
    time : bool
        Say it beside the date.
    """
    first, machine = group[0], group[0]["machine"]
    runtimes = {f"{r['runtime']['name']} {r['runtime']['version']}": None for r in group}
    kernels = {r["kernel"]: None for r in group if r.get("kernel")}
    each = first.get("runs_per_sample", 1)
    timed = f"{len(first['samples_ms'])} " + ("runs" if each == 1 else f"medians of {each} runs")
    parts = [machine["cpu"], machine["instruction_set"], f"{machine.get('cpus', '?')} cpus"]
    parts += [thread_count(first)] if threads else []
    parts += [f"batch {first['batch']}", f"kernel {', '.join(kernels) or 'none'}", *runtimes]
    return ", ".join([*parts, f"{timed} in turn", first["date"] if time else first["date"][:10]])
