#!/usr/bin/env python3
"""Writes the app's icon: that of the Android app, a lens whose bars are the answer.

    tools/write_icon.py

The shapes are those of `res/drawable/ic_launcher_foreground.xml`, on its grid of 108, of which a mask
shows the middle 72.
"""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image, ImageDraw

CATALOG = Path(__file__).resolve().parents[1] / "QcnnDemo/QcnnDemo/Assets.xcassets"
SIDE, FINER = 1024, 4
BACK, FORE = "#0B6B5D", "#FFFFFF"


def draw() -> Image.Image:
    image = Image.new("RGB", (SIDE * FINER, SIDE * FINER), BACK)
    pen = ImageDraw.Draw(image)

    def box(left: float, top: float, right: float, bottom: float) -> list[float]:
        return [(x - 18) / 72 * SIDE * FINER for x in (left, top, right, bottom)]

    pen.ellipse(box(28, 28, 80, 80), fill=FORE)
    pen.ellipse(box(33, 33, 75, 75), fill=BACK)
    for top, width in ((45, 24), (53, 16), (61, 9)):
        pen.rectangle(box(42, top, 42 + width, top + 5), fill=FORE)
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def main() -> None:
    folder = CATALOG / "AppIcon.appiconset"
    folder.mkdir(parents=True, exist_ok=True)
    draw().save(folder / "icon.png", optimize=True)
    info = {"author": "xcode", "version": 1}
    images = [
        {"filename": "icon.png", "idiom": "universal", "platform": "ios", "size": "1024x1024"}
    ]
    for path, contents in ((CATALOG, {}), (folder, {"images": images})):
        text = json.dumps({**contents, "info": info}, indent=2)
        (path / "Contents.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
