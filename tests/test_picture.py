"""The comparison picture: bars as high as their values."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageColor

from qcnn_tflite.picture import Panel, draw_comparison

_QUANTIZED = ImageColor.getrgb("#0b7a75")
_FLOAT = ImageColor.getrgb("#a9b4c0")


def _bar_heights(panels):
    image = Image.open(io.BytesIO(draw_comparison("title", "subtitle", panels, "footer")))
    pixels = np.asarray(image.convert("RGB")).astype(int)[150:]  # below the legend
    # Edges are blended with what they border on.
    return [
        int((abs(pixels - colour).max(axis=2) < 12).sum(axis=0).max())
        for colour in (_FLOAT, _QUANTIZED)
    ]


def test_bars_are_as_high_as_their_values():
    tall, low = _bar_heights([Panel("size", 8.0, 2.0, "8", "2", "4x smaller")])
    assert abs(tall / low - 4) < 0.15


def test_a_limit_sets_the_top():
    half, quarter = _bar_heights([Panel("top-1", 0.5, 0.25, "", "", "", limit=1.0)])
    full, _ = _bar_heights([Panel("top-1", 1.0, 0.5, "", "", "", limit=1.0)])
    assert abs(full / half - 2) < 0.1
    assert abs(half / quarter - 2) < 0.15


def test_equal_input_gives_equal_bytes():
    panels = [Panel("a", 1.0, 2.0, "1", "2", "")] * 3
    assert draw_comparison("t", "s", panels, "f") == draw_comparison("t", "s", panels, "f")


def test_zeros_are_drawn():
    assert draw_comparison("t", "s", [Panel("a", 0.0, 0.0, "0", "0", "")], "f")
