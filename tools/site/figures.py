"""Draws the figures of docs/explanation: ``python tools/site/figures.py`` writes docs/explanation/figures/*.svg.

What is drawn is computed here: k-means and error correction on layers of the embedded network, with its images.
Colours are CSS variables with a light and a dark value, so one file serves both (docs/assets/site.css).
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import FancyArrowPatch, Rectangle

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "figures"
# Role of a colour: its light value, which is drawn with, and its dark one. docs/assets/site.css has the same.
COLOURS = {
    "ink": ("#1f2933", "#e4e9ee"),
    "faint": ("#5b6774", "#a9b4c0"),
    "line": ("#c3cad2", "#4d5866"),
    "main": ("#0b7a75", "#4fc3bb"),
    "second": ("#b45309", "#f0a35e"),
    "third": ("#6d5bb5", "#b3a5f0"),
    "soft": ("#d8ebe9", "#1d4a49"),
    "warm": ("#f6e3cf", "#553a1f"),
}
INK, FAINT, LINE, MAIN, SECOND, THIRD, SOFT, WARM = (light for light, _ in COLOURS.values())
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "svg.fonttype": "path",  # the same on every machine
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}


def product_quantization(network: Network) -> Any:
    """Weights cut into sub-vectors; one subspace of fc7 with its codewords."""
    from qcnn_tflite.pq.kmeans import fit_codebook

    figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.9), width_ratios=(1.15, 1))
    _blank(left, (-0.4, 9.0), (-2.2, 6.2))
    left.set_title("each row of weights is cut into sub-vectors", loc="left")
    rng = np.random.default_rng(3)
    tints = (SOFT, WARM)
    for row in range(4):
        for column in range(8):
            _cell(left, column, 5 - row, tints[column // 2 % 2], f"{rng.normal():.1f}", 8)
    left.text(
        4.0,
        1.4,
        "↓  the numbers of the nearest codewords (first two rows)",
        ha="center",
        size=8.5,
        color=FAINT,
    )
    codes = rng.integers(0, 16, (4, 4))
    for row in range(2):
        for m in range(4):
            _cell(left, 2 * m + 0.5, -0.1 - row, tints[m % 2], str(codes[row, m]), 9, bold=True)
    left.text(4.0, -1.9, "M = 4 subspaces, d = 2, K = 16: four bits a code", ha="center")
    weights = network.weights("fc7")[:, :2]
    codebook = fit_codebook(weights, 16)
    nearest = np.argmin(((weights[:, None] - codebook) ** 2).sum(2), 1)
    for k in range(16):
        mine = weights[nearest == k]
        right.plot(*mine.T, ".", ms=2.2, color=(MAIN, SECOND, THIRD, FAINT)[k % 4], alpha=0.55)
    right.plot(*codebook.T, "o", ms=7, mfc="none", mec=INK, mew=1.6)
    right.set_title("fc7 of the embedded network:\n1,536 sub-vectors, 16 codewords", loc="left")
    right.set_xlabel("weight of input 0")
    right.set_ylabel("weight of input 1")
    right.set_aspect("equal", "datalim")
    return figure


def lookup_tables(network: Network) -> Any:
    """A matrix product by lookups, in real (small) numbers."""
    rng = np.random.default_rng(1)
    x = np.array([2, -1, 1, 3])
    books = rng.integers(-2, 3, (2, 4, 2))
    codes = np.array([[2, 0], [1, 3], [2, 1]])
    tables = np.einsum("mkd,md->mk", books, x.reshape(2, 2))
    figure, axes = plt.subplots(figsize=(8.2, 3.6))
    _blank(axes, (-0.3, 17.4), (-0.6, 6.9))
    for m, tint in enumerate((SOFT, WARM)):
        top = 5.2 - 3.3 * m
        axes.text(0, top + 1.25, f"input, part {m + 1}", color=FAINT)
        for j in range(2):
            _cell(axes, j, top, tint, str(x[2 * m + j]))
        axes.text(2.4, top + 0.35, "×", ha="center", size=12)
        axes.text(3.0, top + 1.25, f"codebook {m + 1} (K = 4, d = 2)", color=FAINT)
        for k in range(4):
            for j in range(2):
                _cell(
                    axes,
                    3 + k * 1.1,
                    top - 0.8 * j + 0.2,
                    tint,
                    str(books[m, k, j]),
                    8,
                    h=0.8,
                    w=0.9,
                )
        axes.text(7.75, top + 0.35, "=", ha="center", size=12)
        axes.text(8.3, top + 1.25, f"table {m + 1}", color=FAINT)
        for k in range(4):
            _cell(axes, 8.3 + k, top, tint, str(tables[m, k]), bold=True)
            axes.text(8.8 + k, top - 0.4, str(k), ha="center", size=7.5, color=FAINT)
    axes.text(13.1, 6.45, "codes", color=FAINT)
    axes.text(15.9, 6.45, "output", color=FAINT)
    for row, pair in enumerate(codes):
        y = 5.2 - 1.9 * row
        for m, code in enumerate(pair):
            _cell(axes, 13.1 + m, y, (SOFT, WARM)[m], str(code), bold=True)
        terms = [int(tables[m, code]) for m, code in enumerate(pair)]
        axes.text(15.25, y + 0.4, "→", ha="center")
        _cell(axes, 15.8, y, "none", str(sum(terms)), bold=True)
        axes.text(
            13.1,
            y - 0.5,
            f"{terms[0]} {'-' if terms[1] < 0 else '+'} {abs(terms[1])}",
            size=8.5,
            color=INK,
        )
    axes.text(
        0, -0.3,
        "The tables cost K multiplications for each input, once. Then every output is M lookups and additions.",
    )  # fmt: skip
    return figure


def error_correction(network: Network) -> Any:
    """The error of fc6's response, on the images learned from and on others."""
    layout, recipe, train, others, weights = network.problem("fc6")
    from dataclasses import replace

    from qcnn_tflite.pq.fitting import fit

    matrices = layout.split(weights)

    def errors(
        change: dict[str, Any], damping: float, corrected: bool = True
    ) -> tuple[float, float]:
        code = fit(
            matrices, layout, replace(recipe, **change), train, damping, 0, 1, corrected=corrected
        )
        decoded = code.matrices()
        return train.relative_error(decoded), others.relative_error(decoded)

    dampings = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
    curve = np.array([errors({}, damping) for damping in dampings])
    best = dampings[int(np.argmin(curve[:, 1]))]
    steps = {
        "plain: k-means\non the weights": errors({}, float("inf")),
        "k-means in the\ninputs' metric": errors({}, best, corrected=False),
        "codes one after\nanother": errors({"sweeps": 0}, best),
        "one sweep": errors({"sweeps": 1}, best),
        "three sweeps": errors({"sweeps": 3}, best),
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.9))
    places = np.arange(len(steps))[::-1]
    values = np.array(list(steps.values()))
    left.barh(places + 0.2, values[:, 1], 0.36, color=SECOND, label="other images")
    left.barh(places - 0.2, values[:, 0], 0.36, color=MAIN, label="images learned from")
    left.set_yticks(places, list(steps))
    left.set_xlabel("relative squared error of the response")
    left.set_title(f"step by step (damping {best:g})", loc="left")
    right.plot(dampings, curve[:, 1], "o-", color=SECOND)
    right.plot(dampings, curve[:, 0], "s-", color=MAIN)
    right.set_xscale("log")
    right.set_ylim(0, None)
    right.set_ylabel("relative squared error of the response")
    right.annotate(
        "other images",
        (dampings[0], curve[0, 1]),
        (-4, 9),
        textcoords="offset points",
        color=SECOND,
    )
    right.annotate(
        "images learned from",
        (dampings[0], curve[0, 0]),
        (-4, -17),
        textcoords="offset points",
        color=MAIN,
    )
    right.axvline(best, color=LINE, lw=1, zorder=0)
    right.set_xlabel("damping λ")
    right.set_title("damping: trust few images less", loc="left")
    left.legend(loc="lower right", fontsize=8.5)
    for name, pair in steps.items():
        print(f"{name!r}: learned from {pair[0]:.4f}, others {pair[1]:.4f}", file=sys.stderr)
    for damping, pair in zip(dampings, curve, strict=True):
        print(
            f"damping {damping}: learned from {pair[0]:.4f}, others {pair[1]:.4f}", file=sys.stderr
        )
    return figure


def kernels(network: Network) -> Any:
    """How vector lanes are used: positions in a convolution, outputs in a fully-connected layer."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.7))
    for axes, title in (
        (left, "convolution: a lane is a position"),
        (right, "fully-connected: a lane is an output"),
    ):
        _blank(axes, (-0.2, 11.2), (-0.9, 6.6))
        axes.set_title(title, loc="left")
    left.text(0, 6.05, "table of a subspace: K rows of 32 positions, int16", color=FAINT, size=8.5)
    for k in range(4):
        for p in range(10):
            _cell(left, 1.1 * p + 0.0, 5.0 - 0.75 * k, WARM if k == 2 else SOFT, "", h=0.65, w=1.0)
    left.text(0, 2.1, "code 2 of this output: that row, one load", size=9)
    left.add_patch(
        FancyArrowPatch((9.4, 3.45), (9.4, 1.35), arrowstyle="-|>", mutation_scale=11, color=SECOND)
    )
    for p in range(10):
        _cell(left, 1.1 * p, 0.5, "none", "+", h=0.75, w=1.0)
    left.text(0, -0.6, "sums of one output at 32 positions, one addition", color=FAINT, size=8.5)
    right.text(0, 6.05, "table of a subspace: K entries, in registers", color=FAINT, size=8.5)
    for k in range(10):
        _cell(right, 1.1 * k, 5.0, WARM if k in (2, 7, 4) else SOFT, "", h=0.75, w=1.0)
    right.text(0, 3.95, "codes of 32 outputs", color=FAINT, size=8.5)
    for o, code in enumerate((2, 7, 4, 0, 9, 2, 5, 4, 1, 7)):
        _cell(right, 1.1 * o, 2.85, "none", str(code), h=0.75, w=1.0, bold=True)
    right.text(0, 1.9, "one shuffle fetches all 32 entries", size=9)
    for o in range(10):
        _cell(right, 1.1 * o, 0.5, "none", "+", h=0.75, w=1.0)
    right.text(0, -0.6, "sums of 32 outputs, one addition", color=FAINT, size=8.5)
    return figure


FIGURES: dict[str, Callable[..., Any]] = {
    "product-quantization": product_quantization,
    "lookup-tables": lookup_tables,
    "error-correction": error_correction,
    "kernels": kernels,
}


class Network:
    """The embedded network: weights and what its layers see."""

    def weights(self, layer: str) -> Any:
        """Of a fully-connected layer, shape (C_out, C_in)."""
        from qcnn_tflite.models import embedded

        with np.load(embedded.weights()) as arrays:
            return arrays[f"{layer}/kernel"].astype(np.float32).T.copy()

    def problem(self, layer: str) -> Any:
        """Layout, recipe, statistics on the calibration images and on as many others, weights."""
        from qcnn_tflite.models import embedded
        from qcnn_tflite.pq import BlockLayout, Recipe, StatisticsBuilder

        weights = self.weights(layer)
        outputs, inputs = weights.shape
        layout = BlockLayout(outputs, inputs, (1, 1), 1, 4)
        found = []
        for path in (embedded.calibration_images(), embedded.test_images()):
            seen = self._inputs(layer, path, inputs)
            builder = StatisticsBuilder(1, layout.rows, outputs, len(seen))
            builder.add(seen[None], (seen @ weights.T)[None])
            found.append(builder.finish())
        return layout, Recipe(4, 32), *found, weights.reshape(outputs, 1, 1, inputs)

    def _inputs(self, layer: str, path: Path, width: int) -> Any:
        """What the layer sees in the float network, for 500 images."""
        from ai_edge_litert.interpreter import Interpreter

        from qcnn_tflite import models

        interpreter = Interpreter(
            model_content=models.load_float(models.DEFAULT).data,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=_reference_resolver(),
        )
        interpreter.allocate_tensors()
        node = next(
            op
            for op in interpreter._get_ops_details()
            if op["op_name"] == "FULLY_CONNECTED"
            and interpreter.get_tensor(op["inputs"][1]).shape[1] == width
        )
        prepare = models.embedded.preprocessing()
        with np.load(path) as arrays:
            images = arrays["images"][:500]
        rows = []
        for image in images:
            interpreter.set_tensor(
                interpreter.get_input_details()[0]["index"], prepare(image)[None]
            )
            interpreter.invoke()
            rows.append(interpreter.get_tensor(node["inputs"][0]).reshape(-1).copy())
        return np.array(rows)


def _reference_resolver() -> Any:
    from ai_edge_litert.interpreter import OpResolverType

    return OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def _blank(axes: Any, x: tuple[float, float], y: tuple[float, float]) -> None:
    axes.set(xlim=x, ylim=y)
    axes.axis("off")


def _cell(
    axes: Any, x: float, y: float, fill: str, text: str, size: float = 9, *,
    w: float = 1.0, h: float = 1.0, bold: bool = False, edge: str = FAINT,
) -> None:  # fmt: skip
    axes.add_patch(Rectangle((x, y), w, h, facecolor=fill, edgecolor=edge, linewidth=0.8))
    weight = "bold" if bold else "normal"
    axes.text(x + w / 2, y + h / 2 - 0.02, text, ha="center", va="center", size=size, weight=weight)


def to_svg(name: str, figure: Any) -> str:
    """The figure as SVG with variables for colours, and dark values where the reader's system is dark."""
    buffer = io.StringIO()
    figure.tight_layout()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    plt.close(figure)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for role, (light, _) in COLOURS.items():
        text = text.replace(light, f"var(--figure-{role}, {light})")
    # Ids that nothing refers to would clash with those of other figures in a page; the others are hashes.
    used = set(re.findall(r"(?:#|url\(#)([\w.-]+)", text))
    text = re.sub(r' id="([\w.-]+)"', lambda m: m[0] if m[1] in used else "", text)
    dark = "; ".join(f"--figure-{role}: {value}" for role, (_, value) in COLOURS.items())
    style = f"<style>@media (prefers-color-scheme: dark) {{ svg {{ {dark} }} }}</style>"
    return re.sub(r"(<svg[^>]*>)", rf"\1\n {style}", text, count=1)


def draw(folder: Path, names: list[str]) -> None:
    """Draw figures into a folder."""
    network = Network()
    for name in names:
        with plt.rc_context({**_STYLE, "svg.hashsalt": name}):
            (folder / f"{name}.svg").write_text(to_svg(name, FIGURES[name](network)), "utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parents[2]))
    FOLDER.mkdir(parents=True, exist_ok=True)
    draw(FOLDER, sys.argv[1:] or list(FIGURES))
