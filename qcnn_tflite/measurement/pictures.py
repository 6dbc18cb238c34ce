"""Charts of results: drawn once by matplotlib, for files and for the report page alike."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OutputError
from ..files import write_atomically
from .table import label, runs, speedup, thread_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Role of a colour to its value in a file; the page puts its own, light or dark, in their place.
COLOURS = {
    "background": "#ffffff",
    "ink": "#1f2933",
    "faint": "#5b6774",
    "line": "#d5dbe1",
    "float": "#8a97a5",
    "int8": "#b45309",
    "other": "#6d5bb5",
    "q": "#0b7a75",
}
_WIDE, _NARROW = 7.0, 3.7  # inches; text keeps its size
_POINTS = 9
_LABELS = 20


@dataclass(frozen=True)
class Chart:
    """One picture.

    Parameters
    ----------
    name : str
        For its file.
    title : str
        What it shows, a sentence for those who do not see it, too.
    draw : callable
        Draws on axes.
    rows : int
        Entries along its vertical axis, which make it taller; 0 for the usual height.
    """

    name: str
    title: str
    draw: Callable[[Axes], None]
    rows: int = 0

    def svg(self, *, narrow: bool = False, themed: bool = False) -> str:
        """The picture as an ``<svg>`` element.

        Parameters
        ----------
        narrow : bool
            For a telephone.
        themed : bool
            With ``var(--ROLE)`` for colours, and nothing that two pictures in one page would share.
        """
        buffer = io.StringIO()
        with _style(f"{self.name}-narrow" if narrow else self.name):
            self._figure(narrow, titled=not themed).savefig(
                buffer, format="svg", metadata={"Date": None}
            )
        text = buffer.getvalue()
        text = text[text.index("<svg") :]
        if not themed:
            return text
        for role, value in COLOURS.items():
            text = text.replace(value, f"var(--{role})")
        # Ids that nothing refers to would be there once a picture; the others are hashes.
        used = set(re.findall(r"(?:#|url\(#)([\w.-]+)", text))
        text = re.sub(r' id="([\w.-]+)"', lambda m: m[0] if m[1] in used else "", text)
        text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
        return re.sub(r'(<svg[^>]*?) height="[^"]+"([^>]*?) width="[^"]+"', r"\1\2", text, count=1)

    def png(self) -> bytes:
        buffer = io.BytesIO()
        with _style(self.name):
            self._figure(False, titled=True).savefig(buffer, format="png", dpi=160)
        return buffer.getvalue()

    def _figure(self, narrow: bool, *, titled: bool) -> Figure:
        from matplotlib.figure import Figure

        width = _NARROW if narrow else _WIDE
        height = 0.9 + 0.34 * self.rows if self.rows else 0.62 * width + 0.4
        figure = Figure(figsize=(width, height), layout="constrained")
        self.draw(figure.add_subplot())
        if titled:
            figure.suptitle(self.title, x=0.01, ha="left", fontsize=_POINTS + 2)
        return figure


def charts(results: Sequence[dict[str, Any]]) -> list[Chart]:
    """Every chart that there is something for."""
    found: list[Chart] = []
    known: dict[str, int] = {}
    for group in runs(results):
        name = _run_name(group)
        known[name] = known.get(name, 0) + 1
        found += run_charts(group, name if known[name] == 1 else f"{name}-{known[name]}")
    return overview_charts(results) + found


def overview_charts(results: Sequence[dict[str, Any]]) -> list[Chart]:
    """The charts that show several networks side by side: speed, and accuracy against size."""
    found = []
    if len({speed.run for speed in speeds(results)}) > 1:
        found.append(_overview(speeds(results)))
    if any("top1" in result.get("accuracy", {}) for result in results):
        found.append(_front(results))
    return found


def run_charts(group: Sequence[dict[str, Any]], name: str = "") -> list[Chart]:
    """The charts of one network in one interleaved run, their files' names beginning with `name`."""
    model = group[0]["model"]
    where = f"{model}, {thread_count(group[0])}"
    name = name or _run_name(group)
    found = [_latency(group, name, where), _sizes(group, name, model)]
    for result in group:
        if result.get("layers"):
            found += [
                _layers(result["layers"], name, where),
                _speedups(result["layers"], name, where),
            ]
    return found


def write_pictures(drawn: Iterable[Chart], folder: Path) -> list[Path]:
    """Write charts as SVG and PNG.

    Returns
    -------
    list of Path
        The SVG files.

    Raises
    ------
    OutputError
        If the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made ({error.strerror}); choose another") from error
    written = []
    for chart in drawn:
        path = folder / f"{chart.name}.svg"
        head = '<?xml version="1.0" encoding="utf-8"?>\n'
        write_atomically(path, (head + chart.svg()).encode(), overwrite=True)
        write_atomically(path.with_suffix(".png"), chart.png(), overwrite=True)
        written.append(path)
    return written


def role(variant: str) -> str:
    """Colour of a variant."""
    if variant in ("q", "float", "int8"):
        return variant
    return "other"


@dataclass(frozen=True)
class Speed:
    """Speed of a variant in one run.

    Parameters
    ----------
    run : str
        Network and threads.
    variant : str
    ours : bool
        With our local response normalization in both, else with the runtime's own kernels in float.
    ratio : float
        Times as fast as float.
    """

    run: str
    variant: str
    ours: bool
    ratio: float


def speeds(results: Sequence[dict[str, Any]]) -> list[Speed]:
    """Of every variant but float, in every run that has float."""
    found = []
    for group in runs(results):
        name = f"{group[0]['model']}, {thread_count(group[0])}"
        for result in group:
            variant, norm = result["variant"], result.get("lrn")
            for baseline in ("stock", "ours"):
                faster = speedup(group, result, "float", baseline)
                beside = variant == "q" or norm in (None, baseline)
                if variant != "float" and beside and faster is not None:
                    found.append(Speed(name, variant, baseline == "ours", faster))
    return found


def _overview(found: Sequence[Speed]) -> Chart:
    names = list(dict.fromkeys(speed.run for speed in found))

    def draw(axes: Axes) -> None:
        axes.axvline(1, color=COLOURS["float"], lw=1.5)
        for speed in found:
            colour, row = COLOURS[role(speed.variant)], names.index(speed.run)
            mark = "D" if speed.variant == "q" else "o"
            axes.plot(
                speed.ratio, row, mark, color=colour, mfc="none" if speed.ours else colour, ms=7
            )
            if speed.variant == "q":
                text, above = f"{speed.ratio:.2g}", (0, 7)
                axes.annotate(
                    text, (speed.ratio, row), above, textcoords="offset points", ha="center",
                    color=COLOURS["ink"],
                )  # fmt: skip
        _names(axes, names)
        axes.set_ylim(len(names) - 0.5, -0.7)
        _logarithmic(axes, [1, *(speed.ratio for speed in found)], "x")
        others = {speed.variant for speed in found} - {"q"}
        marks = "● int8, ◆ quantized" if others == {"int8"} else "◆ quantized, ● others"
        axes.set_xlabel(f"times as fast as float\n{marks}; hollow: our LRN in both")

    title = "Speed against TensorFlow Lite's float kernels"
    return Chart("speed", title, draw, rows=len(names))


def _latency(group: Sequence[dict[str, Any]], name: str, where: str) -> Chart:
    def draw(axes: Axes) -> None:
        for row, result in enumerate(group):
            times = result["summary_ms"]
            axes.barh(row, times["median"], color=COLOURS[role(result["variant"])], height=0.6)
            spread = [[times["median"] - times["p10"]], [times["p90"] - times["median"]]]
            axes.errorbar(times["median"], row, xerr=spread, color=COLOURS["ink"], capsize=3, lw=1)
            _beside(axes, times["p90"], row, f"{times['median']:.3g}")
        _names(axes, [label(result) for result in group])
        axes.set_xlim(0, 1.2 * max(result["summary_ms"]["p90"] for result in group))
        axes.set_xlabel("ms: median, 10 % to 90 %")

    title = f"Latency of one inference: {where}"
    return Chart(f"{name}-latency", title, draw, rows=len(group))


def _sizes(group: Sequence[dict[str, Any]], name: str, model: str) -> Chart:
    every = {result["variant"]: result for result in group}

    def draw(axes: Axes) -> None:
        for row, (variant, result) in enumerate(every.items()):
            size, zipped = (result["sizes"][key] / 1e6 for key in ("file", "zipped"))
            axes.barh(row, size, color=COLOURS[role(variant)], height=0.6)
            axes.plot([zipped] * 2, [row - 0.3, row + 0.3], color=COLOURS["ink"], lw=1.5)
            _beside(axes, size, row, f"{size:.3g}")
        _names(axes, list(every))
        axes.set_xlim(0, 1.2 * max(result["sizes"]["file"] for result in group) / 1e6)
        axes.set_xlabel("MB of the file; line: zipped")

    return Chart(f"{name}-size", f"Size of the file: {model}", draw, rows=len(every))


def _front(results: Sequence[dict[str, Any]]) -> Chart:
    points: dict[tuple[str, str], tuple[float, float, list[float]]] = {}
    for result in results:
        accuracy = result.get("accuracy", {})
        if "top1" in accuracy:
            ends = accuracy.get("top1_interval", [accuracy["top1"]] * 2)
            size = result["sizes"]["file"] / 1e6
            points[result["model"], result["variant"]] = (size, 100 * accuracy["top1"], ends)

    def draw(axes: Axes) -> None:
        marks = dict(
            zip(dict.fromkeys(m for m, _ in points), "osD^vP*X" * len(points), strict=False)
        )
        for (model, variant), (size, top1, ends) in points.items():
            colour = COLOURS[role(variant)]
            spread = [[max(0.0, top1 - 100 * ends[0])], [max(0.0, 100 * ends[1] - top1)]]
            axes.errorbar(size, top1, yerr=spread, fmt=marks[model], color=colour, capsize=3, lw=1)
            axes.annotate(
                variant, (size, top1), (6, 4), textcoords="offset points", color=COLOURS["ink"]
            )
        if len(marks) > 1:
            for model, mark in marks.items():
                axes.plot([], [], mark, color=COLOURS["faint"], label=model)
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
        _logarithmic(axes, [size for size, _, _ in points.values()], "x")
        axes.margins(x=0.25, y=0.2)
        axes.set_xlabel("MB of the file")
        axes.set_ylabel("top-1, %; 95 % interval")
        _grid(axes)

    return Chart("accuracy-size", "Accuracy against the size of the file", draw)


def _layers(layers: Sequence[dict[str, Any]], name: str, where: str) -> Chart:
    def draw(axes: Axes) -> None:
        _dumbbells(axes, layers, "float_ms", "ms", 1)
        axes.set_xlabel("ms, each alone: ● float, ◆ quantized")

    title = f"Time of every layer, float and quantized: {where}"
    return Chart(f"{name}-layers", title, draw, rows=max(3, len(layers)))


def _speedups(layers: Sequence[dict[str, Any]], name: str, where: str) -> Chart:
    theory = [layer["float_ops"] / layer["ops"] for layer in layers]
    measured = [layer["float_ms"] / layer["ms"] for layer in layers]

    def draw(axes: Axes) -> None:
        ends = [min(*theory, *measured, 1) / 1.3, 1.3 * max(*theory, *measured, 1)]
        axes.plot(ends, ends, color=COLOURS["line"], lw=1)
        axes.axhline(1, color=COLOURS["line"], lw=1)
        axes.plot(theory, measured, "o", color=COLOURS["q"])
        for layer, x, y in zip(layers, theory, measured, strict=True):
            if len(layers) > _LABELS:  # they would hide each other; the table has them
                break
            short = layer["name"].rsplit("/", 1)[-1]
            axes.annotate(short, (x, y), (4, 3), textcoords="offset points", color=COLOURS["ink"])
        _logarithmic(axes, ends, "x")
        _logarithmic(axes, ends, "y")
        axes.set_xlim(*ends)
        axes.set_ylim(*ends)
        axes.set_xlabel("speed-up by counting operations")
        axes.set_ylabel("measured")
        _grid(axes)

    title = f"Speed-up of every layer, theoretical beside measured: {where}"
    return Chart(f"{name}-speedup", title, draw)


def conversion_chart(report: dict[str, Any]) -> Chart:
    """Bytes of every layer of a conversion, before and after."""
    layers = [layer for layer in report["layers"] if layer["bytes_before"] > 0]

    def draw(axes: Axes) -> None:
        _dumbbells(axes, layers, "bytes_before", "bytes_after", 1e-3)
        axes.set_xlabel("kB of constants: ● float, ◆ in the quantized file")

    title = f"Size of every layer, float and quantized: {report['model']}"
    return Chart(f"{_file_name(report['model'])}-conversion", title, draw, rows=max(3, len(layers)))


def _dumbbells(
    axes: Axes, layers: Sequence[dict[str, Any]], before: str, after: str, unit: float
) -> None:
    """Two marks a layer and a line between them: lengths of bars would mean nothing on such an axis."""
    for row, layer in enumerate(layers):
        ends = [unit * layer[before], unit * layer[after]]
        axes.plot(ends, [row] * 2, color=COLOURS["line"], lw=3, solid_capstyle="butt")
        axes.plot(ends[0], row, "o", color=COLOURS["float"], ms=7)
        axes.plot(ends[1], row, "D", color=COLOURS["q"], ms=6)
    _names(axes, [layer["name"] for layer in layers])
    _logarithmic(axes, [unit * layer[key] for layer in layers for key in (before, after)], "x")


def _names(axes: Axes, names: Sequence[str]) -> None:
    shown = [name if len(name) <= 30 else "…" + name[-29:] for name in names]
    axes.set_yticks(range(len(names)), shown)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=COLOURS["line"], lw=0.6)


def _beside(axes: Axes, x: float, row: float, text: str) -> None:
    axes.annotate(
        text, (x, row), (6, 0), textcoords="offset points", va="center", color=COLOURS["ink"]
    )


def _grid(axes: Axes) -> None:
    axes.grid(color=COLOURS["line"], lw=0.6)


def _logarithmic(axes: Axes, values: Sequence[float], which: str) -> None:
    """A logarithmic axis where values differ much, with plain numbers on it."""
    if max(values) < 5 * min(values):
        return
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    wide = max(values) > 60 * min(values)
    axis.set_major_locator(LogLocator(10, subs=(1,) if wide else (1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _style(name: str) -> Any:
    import matplotlib

    return matplotlib.rc_context(
        {
            "svg.fonttype": "none",  # text stays text
            "svg.hashsalt": name,  # equal results give equal files
            "font.family": "sans-serif",
            "font.size": _POINTS,
            "axes.edgecolor": COLOURS["line"],
            "axes.labelcolor": COLOURS["faint"],
            "axes.facecolor": "none",
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "figure.facecolor": COLOURS["background"],
            "text.color": COLOURS["ink"],
            "xtick.color": COLOURS["faint"],
            "ytick.color": COLOURS["ink"],
        }
    )


def _run_name(group: Sequence[dict[str, Any]]) -> str:
    return f"{_file_name(group[0]['model'])}-{group[0]['threads']}t"


def _file_name(model: str) -> str:
    return re.sub(r"[^\w.-]+", "-", model).strip("-") or "model"
