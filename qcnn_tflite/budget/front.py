"""The front of a search, size and time against accuracy: as JSON and as a picture."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..picture import BACKGROUND, FAINT, FLOAT, INK, LINE, QUANTIZED, SCALE, draw_text, font
from .search import Choice, Search

_WIDTH, _HEIGHT = 1200, 620
_CHOSEN = "#c2410c"


@dataclass(frozen=True)
class Measured:
    """A conversion of the search: what it came to.

    Attributes
    ----------
    size : int
        Bytes of the file.
    ms, theoretical_speedup : float
    kl, drop : float
        On held-out images: KL divergence, and estimated top-5 drop in points.
    """

    size: int
    ms: float
    theoretical_speedup: float
    kl: float
    drop: float


def describe_front(
    search: Search, chosen: Choice, conversions: Sequence[Measured], head: dict[str, Any]
) -> dict[str, Any]:
    """The front for programs.

    Parameters
    ----------
    search : Search
    chosen : Choice
    conversions : sequence of Measured
        In their order; the last one is the result.
    head : dict
        What was asked; goes first.

    Returns
    -------
    dict
        ``fronts`` maps the axes ``size`` and ``time`` to points, from the cheapest to float.
    """
    times = "ms" if math.isfinite(chosen.float_ms) else "ops"
    fronts = {"size": search.front("bytes"), "time": search.front(times)}
    return {
        **head,
        "fronts": {
            axis: [_point(search, choice) for choice in points] for axis, points in fronts.items()
        },
        "chosen": _point(search, chosen),
        "conversions": [
            {
                "size": c.size,
                "predicted_ms": c.ms if math.isfinite(c.ms) else None,
                "theoretical_speedup": c.theoretical_speedup,
                "kl": c.kl,
                "top5_drop": c.drop,
            }
            for c in conversions
        ],
    }


def front_files(document: dict[str, Any], title: str) -> tuple[bytes, bytes]:
    """A front as (PNG, JSON)."""
    text = json.dumps(document, indent=2) + "\n"
    return _draw(document, title), text.encode()


def _point(search: Search, choice: Choice) -> dict[str, Any]:
    known = math.isfinite(choice.ms)
    return {
        "size": round(choice.size),
        "predicted_ms": choice.ms if known else None,
        "predicted_speedup": choice.speedup if known else None,
        "theoretical_speedup": choice.theoretical_speedup,
        "estimated_kl": choice.kl,
        "estimated_top5_drop": search.estimated_drop(choice),
        "layers": {
            o.layer.name: str(c) for o, c in zip(search.options, choice.candidates, strict=True)
        },
    }


def _draw(document: dict[str, Any], title: str) -> bytes:
    image = Image.new("RGB", (_WIDTH * SCALE, _HEIGHT * SCALE), BACKGROUND)
    draw = ImageDraw.Draw(image)
    draw_text(draw, (56, 28), title, 30, INK)
    draw_text(
        draw,
        (56, 66),
        "every point: one setting per layer, the most accurate at its cost",
        18,
        FAINT,
    )
    chosen = document["chosen"]
    timed = chosen["predicted_ms"] is not None
    _panel(draw, 56, document, "size", "size, MB", lambda p: p["size"] / 1e6)
    if timed:
        _panel(
            draw,
            640,
            document,
            "time",
            "predicted time of the layers, ms",
            lambda p: p["predicted_ms"],
        )
    else:
        name = "operations of the layers, share of float"
        _panel(draw, 640, document, "time", name, lambda p: 1 / p["theoretical_speedup"])
    marks = ((QUANTIZED, "estimated"), (_CHOSEN, "chosen, estimated"), (INK, "converted, measured"))
    left = 56.0
    for colour, text in marks:
        _dot(draw, left + 8, _HEIGHT - 36, colour, 6)
        draw_text(draw, (left + 22, _HEIGHT - 36), text, 17, INK, "lm")
        left += 46 + draw.textlength(text, font=font(17)) / SCALE
    buffer = io.BytesIO()
    image.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _panel(
    draw: ImageDraw.ImageDraw,
    left: float,
    document: dict[str, Any],
    axis: str,
    name: str,
    value: Callable[[dict[str, Any]], float],
) -> None:
    top, bottom, right = 130.0, 500.0, left + 504
    left += 40
    points = [(value(p), p["estimated_top5_drop"]) for p in document["fronts"][axis]]
    mark = (value(document["chosen"]), document["chosen"]["estimated_top5_drop"])
    measured = [(value(c), c["top5_drop"]) for c in document["conversions"]]
    # Half of the front's range may be networks that are good for nothing.
    ceiling = max(1.0, 2.5 * max(mark[1], *(y for _, y in measured), 0.4))
    points = [(x, y) for x, y in points if y <= ceiling]
    every = [*points, mark, *measured]
    low, high = (f(max(x, 1e-9) for x, _ in every) for f in (min, max))
    span = math.log(high / low) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        share = math.log(max(x, 1e-9) / low) / span
        return left + share * (right - left), bottom - min(y / ceiling, 1.0) * (bottom - top)

    for y in np.linspace(0, ceiling, 6):
        level = place(low, float(y))[1]
        _line(draw, [(left, level), (right, level)], LINE, 1)
        draw_text(draw, (left - 8, level), f"{y:.1f}", 15, FAINT, "rm")
    for x in np.geomspace(low, high, 5):
        along = place(float(x), 0)[0]
        draw_text(draw, (along, bottom + 10), f"{x:.3g}", 15, FAINT, "ma")
    draw_text(draw, ((left + right) / 2, bottom + 34), name, 17, INK, "ma")
    draw_text(draw, (left - 40, top - 12), "estimated top-5 drop, points", 15, FAINT, "ld")
    shown = [place(x, y) for x, y in points]
    if len(shown) > 1:
        _line(draw, shown, FLOAT, 2)
    for at in shown:
        _dot(draw, *at, QUANTIZED, 5)
    for x, y in measured:
        _dot(draw, *place(x, y), INK, 7)
    _dot(draw, *place(*mark), _CHOSEN, 7)


def _line(
    draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], colour: str, width: int
) -> None:
    draw.line([(x * SCALE, y * SCALE) for x, y in points], colour, width * SCALE)


def _dot(draw: ImageDraw.ImageDraw, x: float, y: float, colour: str, radius: float) -> None:
    corners = [(v - radius) * SCALE for v in (x, y)] + [(v + radius) * SCALE for v in (x, y)]
    draw.ellipse(corners, colour)
