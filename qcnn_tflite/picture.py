"""Draws the comparison of a float model and its quantized twin as one PNG picture."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from .files import write_atomically

_WIDTH, _HEIGHT = 1200, 620
# Drawn larger and reduced at the end: Pillow's shapes are not anti-aliased.
SCALE = 2

BACKGROUND = "#ffffff"
INK = "#1f2933"
FAINT = "#6b7785"
LINE = "#d5dbe1"
FLOAT = "#a9b4c0"
QUANTIZED = "#0b7a75"


@dataclass(frozen=True)
class Panel:
    """One quantity, float beside quantized.

    Attributes
    ----------
    title : str
    float_value, quantized_value : float
        Heights of the bars, from 0.
    float_text, quantized_text : str
        Written over them.
    verdict : str
        One line below, e.g. ``"19.8x smaller"``.
    limit : float or None
        Value at the top of the panel; None lets the larger bar fill it.
    """

    title: str
    float_value: float
    quantized_value: float
    float_text: str
    quantized_text: str
    verdict: str
    limit: float | None = None


def draw_comparison(title: str, subtitle: str, panels: Sequence[Panel], footer: str) -> bytes:
    """The picture as PNG bytes: a panel with two bars for every quantity."""
    image = Image.new("RGB", (_WIDTH * SCALE, _HEIGHT * SCALE), BACKGROUND)
    draw = ImageDraw.Draw(image)
    margin = 56
    draw_text(draw, (margin, 44), title, 34, INK)
    draw_text(draw, (margin, 92), subtitle, 19, FAINT)
    _legend(draw, _WIDTH - margin, 50)
    gap = 32
    width = (_WIDTH - 2 * margin - gap * (len(panels) - 1)) / len(panels)
    for index, panel in enumerate(panels):
        _panel(draw, panel, margin + index * (width + gap), 148, width, 390)
    draw_text(draw, (margin, _HEIGHT - 46), footer, 15, FAINT)
    buffer = io.BytesIO()
    image.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def save_comparison(
    path: str | os.PathLike[str],
    title: str,
    subtitle: str,
    panels: Sequence[Panel],
    footer: str,
    *,
    overwrite: bool = False,
) -> None:
    """`draw_comparison`, written to `path`."""
    write_atomically(path, draw_comparison(title, subtitle, panels, footer), overwrite=overwrite)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * SCALE)


def draw_text(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    size: int,
    colour: str,
    anchor: str = "la",
) -> None:
    """Text at a place given before enlarging; `anchor` as Pillow has it."""
    draw.text((at[0] * SCALE, at[1] * SCALE), text, fill=colour, font=font(size), anchor=anchor)


def _box(
    draw: ImageDraw.ImageDraw,
    left: float,
    top: float,
    right: float,
    bottom: float,
    colour: str,
    radius: float = 0,
    outline: str | None = None,
) -> None:
    corners = (left * SCALE, top * SCALE, right * SCALE, bottom * SCALE)
    draw.rounded_rectangle(
        corners, radius * SCALE, colour, outline, SCALE, corners=(True, True, False, False)
    )


def _legend(draw: ImageDraw.ImageDraw, right: float, top: float) -> None:
    for text, colour in (("quantized", QUANTIZED), ("float", FLOAT)):
        length = draw.textlength(text, font=font(19)) / SCALE
        draw_text(draw, (right - length, top), text, 19, INK)
        _box(draw, right - length - 28, top + 1, right - length - 10, top + 19, colour)
        right -= length + 52


def _panel(
    draw: ImageDraw.ImageDraw, panel: Panel, left: float, top: float, width: float, height: float
) -> None:
    middle = left + width / 2
    draw_text(draw, (middle, top), panel.title, 22, INK, "ma")
    base, highest = top + height - 48, top + 76
    limit = panel.limit or max(panel.float_value, panel.quantized_value) or 1.0
    bar = min(96.0, width * 0.3)
    for value, text, colour, ink, side in (
        (panel.float_value, panel.float_text, FLOAT, INK, -1),
        (panel.quantized_value, panel.quantized_text, QUANTIZED, QUANTIZED, 1),
    ):
        centre = middle + side * (bar / 2 + 14)
        peak = base - max(2.0, (base - highest) * min(value / limit, 1.0))
        _box(draw, centre - bar / 2, peak, centre + bar / 2, base, colour, min(6, base - peak))
        draw_text(draw, (centre, peak - 10), text, 19, ink, "mb")
    draw.line(
        [(left * SCALE, base * SCALE), ((left + width) * SCALE, base * SCALE)],
        LINE,
        2 * SCALE,
    )
    draw_text(draw, (middle, base + 18), panel.verdict, 19, INK, "ma")
