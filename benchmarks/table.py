"""Results as Markdown tables.

python -m benchmarks.table RESULT.json...
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from qcnn_tflite.sizes import format_bytes

_BASELINES = (("float", "stock"), ("int8", "stock"), ("float", "ours"), ("int8", "ours"))


def markdown(results: Sequence[dict[str, Any]]) -> str:
    """A table for every network and run, and below it what it was measured on."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for result in results:
        key = (result["model"], result["date"], result["threads"], result["batch"])
        groups.setdefault(key, []).append(result)
    return "\n\n".join(_table(group) for group in groups.values())


def label(result: dict[str, Any]) -> str:
    """``int8, our LRN``."""
    lrn = {"stock": ", stock LRN", "ours": ", our LRN"}.get(result.get("lrn", ""), "")
    return f"{result['variant']}{lrn}"


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
    memory = any("memory" in result for result in group)
    head = [first["model"], "median ms", "p10", "p90"]
    head += [f"over {v}" if n == "stock" else f"over {v}, our LRN" for v, n in baselines]
    head += ["load ms", "file"] + ["peak memory"] * memory
    lines = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
    for result in group:
        times = result["summary_ms"]
        row = [label(result), *(f"{times[name]:.3f}" for name in ("median", "p10", "p90"))]
        row += [f"{speedup(group, result, *baseline):.2f}x" for baseline in baselines]
        row += [f"{result['load_ms']:.0f}", format_bytes(result["sizes"]["file"])]
        if memory:
            peak = result.get("memory", {}).get("peak_rss_bytes")
            row.append("" if peak is None else format_bytes(peak))
        lines.append(_line(row))
    return "\n".join([*lines, "", _conditions(group)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _conditions(group: list[dict[str, Any]]) -> str:
    first, machine = group[0], group[0]["machine"]
    runtimes = {f"{r['runtime']['name']} {r['runtime']['version']}": None for r in group}
    kernels = {r["kernel"]: None for r in group if r["kernel"]}
    threads = f"{first['threads']} thread{'s' if first['threads'] > 1 else ''}"
    return (
        f"{machine['cpu']}, {machine['instruction_set']}, {machine['cpus']} cpus, {threads}, batch "
        f"{first['batch']}, kernel {', '.join(kernels) or 'none'}, {', '.join(runtimes)}, "
        f"{len(first['samples_ms'])} runs in turn, {first['date']}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    args = parser.parse_args()
    results: list[dict[str, Any]] = []
    for path in args.files:
        results += json.loads(path.read_text(encoding="utf-8"))["results"]
    print(markdown(results))


if __name__ == "__main__":
    main()
