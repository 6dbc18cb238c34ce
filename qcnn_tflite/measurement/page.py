"""Results and conversion reports as one HTML page: no network, no other file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import DataError
from ..sizes import format_bytes
from . import documents, pictures, table
from .pictures import Chart
from .table import label, runs, speedup


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Parameters
    ----------
    text : str
    value : float or None
        What it is sorted by; None: its text.
    """

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Table:
    """A table whose columns can be sorted.

    Parameters
    ----------
    caption : str
    head : sequence of str
    rows : sequence of sequence of Cell
        The first cell names the row.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    @property
    def numeric(self) -> list[bool]:
        """Of every column, whether it holds numbers."""
        return [any(row[i].value is not None for row in self.rows) for i in range(len(self.head))]


@dataclass(frozen=True)
class Figure:
    """A chart, wide and narrow, with the numbers in it."""

    title: str
    wide: str
    narrow: str
    table: Table


@dataclass
class Section:
    """One run, or one conversion."""

    title: str
    notes: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def results_page(files: Sequence[Path]) -> str:
    """A page of result files, and of conversion reports.

    Raises
    ------
    DataError
        If one is neither, or there is nothing in them.
    """
    results: list[dict[str, Any]] = []
    left_out: list[dict[str, str]] = []
    reports: list[dict[str, Any]] = []
    for path in files:
        report = _conversion_report(path)
        if report is not None:
            reports.append(report)
            continue
        document = documents.read(path)
        results += document["results"]
        left_out += document.get("left_out", [])
    if not results and not reports:
        raise DataError(f"there are no results in {', '.join(map(str, files))}")
    sections = [_overview(results)] if results else []
    sections += [_run(group) for group in runs(results)]
    sections += [_conversion(report) for report in reports]
    return _render("Benchmark results" if results else "Conversion", sections, left_out)


def conversion_page(report: dict[str, Any]) -> str:
    """A page of a conversion.

    Parameters
    ----------
    report : dict
        `ConversionReport.to_dict`.
    """
    return _render(f"Conversion of {report['model']}", [_conversion(report)], [])


def _conversion_report(path: Path) -> dict[str, Any] | None:
    """The report of a file that holds one, else None."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is no result file that can be read: {error}") from error
    if not isinstance(found, dict) or "results" in found or "layers" not in found:
        return None
    numbers = ("bytes_before", "bytes_after", "ops_before", "ops_after")
    layers = found["layers"]
    if (
        not isinstance(layers, list)
        or not all(
            isinstance(found.get(key), (int, float)) for key in ("float_bytes", "quantized_bytes")
        )
        or not all(isinstance(found.get(key), str) for key in ("model", "config"))
        or not all(
            isinstance(layer, dict)
            and all(isinstance(layer.get(key), (int, float)) for key in numbers)
            and all(isinstance(layer.get(key), str) for key in ("name", "kind", "fate"))
            for layer in layers
        )
    ):
        raise DataError(f"{path} is no conversion report; give one that convert --report wrote")
    return found


def _render(title: str, sections: Sequence[Section], left_out: Sequence[dict[str, str]]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("qcnn_tflite.measurement"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.j2")
    return page.render(title=title, sections=sections, left_out=left_out, version=__version__)


def _figure(chart: Chart, data: Table) -> Figure:
    return Figure(chart.title, chart.svg(themed=True), chart.svg(narrow=True, themed=True), data)


def _place(result: dict[str, Any]) -> str:
    return str(result.get("device") or result["machine"]["cpu"])


def _overview(results: Sequence[dict[str, Any]]) -> Section:
    section = Section("All results")
    places = {_place(result) for result in results}
    if len(places) == 1:  # not in every row
        section.notes += places
    rows = []
    for group in runs(results):
        for result in group:
            times, accuracy = result["summary_ms"], result.get("accuracy", {})
            rows.append(
                [
                    Cell(result["model"]),
                    Cell(label(result) + (" (partial)" if "partial" in result else "")),
                    Cell(str(result["threads"]), result["threads"]),
                    _number(times["median"], "{:.3f}"),
                    _ratio(speedup(group, result, "float", "stock")),
                    _bytes(result["sizes"]["file"]),
                    _bytes(result["sizes"]["zipped"]),
                    _bytes(
                        result.get("memory", {}).get(
                            "peak_rss_bytes", result.get("footprint_bytes")
                        )
                    ),
                    _percent(accuracy.get("top1")),
                    _percent(accuracy.get("top5")),
                    _percent(accuracy.get("agreement")),
                    Cell(_place(result) if len(places) > 1 else ""),
                ]
            )
    head = ["network", "variant", "threads", "median ms", "over float", "file", "zipped"]
    head += ["peak memory", "top-1", "top-5", "same first class as float", "where"]
    section.tables.append(_without_empty(Table("Every variant of every network", head, rows)))
    charts = {chart.name: chart for chart in pictures.overview_charts(results)}
    if "speed" in charts:
        head = ["network", "variant", "local response normalization", "times as fast as float"]
        ratios = [
            [
                Cell(speed.run),
                Cell(speed.variant),
                Cell("ours in both" if speed.ours else "the runtime's in float"),
                Cell(f"{speed.ratio:.2f}", speed.ratio),
            ]
            for speed in pictures.speeds(results)
        ]
        section.figures.append(_figure(charts["speed"], Table(charts["speed"].title, head, ratios)))
    if "accuracy-size" in charts:
        # Threads and the normalization change no answer: one row for each file.
        accurate = {
            (result["model"], result["variant"]): result
            for result in results
            if "top1" in result.get("accuracy", {})
        }
        data = [
            [
                Cell(result["model"]),
                Cell(result["variant"]),
                _bytes(result["sizes"]["file"]),
                _percent(result["accuracy"]["top1"]),
                _interval(result["accuracy"].get("top1_interval")),
                _percent(result["accuracy"].get("top5")),
                Cell(f"{result['accuracy']['images']:,}", result["accuracy"]["images"]),
            ]
            for result in accurate.values()
        ]
        head = ["network", "variant", "file", "top-1", "95 % interval", "top-5", "images"]
        front = charts["accuracy-size"]
        section.figures.append(_figure(front, Table(front.title, head, data)))
    return section


def _run(group: list[dict[str, Any]]) -> Section:
    title = f"{group[0]['model']}, {table.thread_count(group[0])}"
    section = Section(title, [table.conditions(group)])
    section.notes += [f"{label(r)} is partial: {r['partial']}" for r in group if "partial" in r]
    tables = {
        "latency": _latency_table,
        "size": _size_table,
        "layers": _layer_table,
        "speedup": _speedup_table,
    }
    for chart in pictures.run_charts(group):
        make = tables[chart.name.rsplit("-", 1)[-1]]
        section.figures.append(_figure(chart, make(chart.title, group)))
    for result in group:
        if result.get("profile"):
            rows = [
                [Cell(row["name"]), Cell(row["type"]), _number(row["ms"], "{:.3f}")]
                for row in result["profile"]
            ]
            title = f"Operators of {label(result)} as the tool timed them"
            section.tables.append(Table(title, ["operator", "type", "ms"], rows))
    return section


def _latency_table(title: str, group: Sequence[dict[str, Any]]) -> Table:
    rows = [
        [
            Cell(label(result)),
            *(
                _number(result["summary_ms"][key], "{:.3f}")
                for key in ("median", "p10", "p90", "min")
            ),
            _number(result["load_ms"], "{:.1f}"),
            _ratio(speedup(group, result, "float", "stock")),
            _ratio(speedup(group, result, "int8", "stock")),
            _ratio(speedup(group, result, "float", "ours") if result.get("lrn") else None),
            Cell(str(len(result["samples_ms"])), len(result["samples_ms"])),
        ]
        for result in group
    ]
    head = ["variant", "median ms", "10 %", "90 %", "least", "load ms", "over float", "over int8"]
    return _without_empty(Table(title, [*head, "over float with our LRN", "samples"], rows))


def _size_table(title: str, group: Sequence[dict[str, Any]]) -> Table:
    every = {result["variant"]: result for result in group}
    base = every.get("float")
    rows = []
    for variant, result in every.items():
        size = result["sizes"]
        smaller = None if base is None or not size["file"] else base["sizes"]["file"] / size["file"]
        memory = result.get("memory", {}).get("peak_rss_bytes", result.get("footprint_bytes"))
        rows.append(
            [
                Cell(variant),
                _bytes(size["file"]),
                _bytes(size["zipped"]),
                _ratio(smaller),
                _bytes(memory),
            ]
        )
    head = ["variant", "file", "zipped", "smaller than float", "peak memory"]
    return _without_empty(Table(title, head, rows))


def _layer_table(title: str, group: Sequence[dict[str, Any]]) -> Table:
    rows = [
        [
            Cell(layer["name"]),
            Cell(layer["op"]),
            _number(layer["float_ms"], "{:.4f}"),
            _number(layer["ms"], "{:.4f}"),
            _ratio(layer["float_ms"] / layer["ms"]),
        ]
        for layer in _layers(group)
    ]
    return Table(title, ["layer", "op", "float ms", "quantized ms", "faster"], rows)


def _speedup_table(title: str, group: Sequence[dict[str, Any]]) -> Table:
    rows = [
        [
            Cell(layer["name"]),
            Cell(f"{layer['float_ops']:,}", layer["float_ops"]),
            Cell(f"{layer['ops']:,}", layer["ops"]),
            _ratio(layer["float_ops"] / layer["ops"]),
            _ratio(layer["float_ms"] / layer["ms"]),
        ]
        for layer in _layers(group)
    ]
    head = ["layer", "float operations", "quantized operations", "theoretical", "measured"]
    return Table(title, head, rows)


def _layers(group: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return next(result["layers"] for result in group if result.get("layers"))


def _conversion(report: dict[str, Any]) -> Section:
    ratio = report["float_bytes"] / report["quantized_bytes"] if report["quantized_bytes"] else 1.0
    sizes = f"{format_bytes(report['float_bytes'])} to {format_bytes(report['quantized_bytes'])}"
    images = report.get("calibration_images") or 0
    section = Section(
        f"Conversion of {report['model']}",
        [
            f"configuration {report['config']}, {images:,} calibration images",
            f"file {sizes}: {ratio:.2f}x smaller",
        ],
    )
    after = sum(layer["ops_after"] for layer in report["layers"])
    before = sum(layer["ops_before"] for layer in report["layers"])
    if after:
        section.notes.append(f"theoretical speed-up of these layers: {before / after:.2f}x")
    section.notes += [str(note) for note in report.get("notes") or []]
    rows = []
    for layer in report["layers"]:
        fate = layer["fate"] + (f": {layer['reason']}" if layer.get("reason") else "")
        rows.append(
            [
                Cell(layer["name"]),
                Cell(layer["kind"]),
                _integer(layer.get("M")),
                _integer(layer.get("K")),
                _integer(layer.get("d")),
                _bytes(layer["bytes_before"]),
                _bytes(layer["bytes_after"]),
                _ratio(
                    layer["bytes_before"] / layer["bytes_after"] if layer["bytes_after"] else None
                ),
                _ratio(layer["ops_before"] / layer["ops_after"] if layer["ops_after"] else None),
                _number(layer.get("predicted_ms"), "{:.3f}"),
                _number(layer.get("error"), "{:.4f}"),
                Cell(fate),
            ]
        )
    head = ["layer", "kind", "M", "K", "d", "float", "quantized", "smaller", "fewer operations"]
    chart = pictures.conversion_chart(report)
    data = Table(chart.title, [*head, "predicted ms", "error", "fate"], rows)
    section.figures.append(_figure(chart, _without_empty(data)))
    return section


def _without_empty(data: Table) -> Table:
    """The table without columns in which there is nothing."""
    kept = [i for i in range(len(data.head)) if any(row[i].text for row in data.rows)]
    return Table(
        data.caption, [data.head[i] for i in kept], [[r[i] for i in kept] for r in data.rows]
    )


def _number(value: float | None, pattern: str) -> Cell:
    return Cell("") if value is None else Cell(pattern.format(value), float(value))


def _integer(value: int | None) -> Cell:
    return Cell("") if value is None else Cell(f"{value:,}", value)


def _ratio(value: float | None) -> Cell:
    return _number(value, "{:.2f}x")


def _bytes(value: float | None) -> Cell:
    return Cell("") if value is None else Cell(format_bytes(value), float(value))


def _percent(value: float | None) -> Cell:
    return Cell("") if value is None else Cell(f"{100 * value:.2f} %", float(value))


def _interval(ends: Sequence[float] | None) -> Cell:
    if ends is None:
        return Cell("")
    return Cell(f"{100 * ends[0]:.2f} to {100 * ends[1]:.2f} %", float(ends[0]))
