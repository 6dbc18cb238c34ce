"""Writes preprocessing.json: what images become before they enter a network, for the apps' tests.

    python tests/golden/make_preprocessing.py

Every host reads the two images, which are lossless RGB, prepares them as `input` says, and compares
with `pixels` (within 1) and `values` (float32, little-endian).
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from qcnn_tflite.calibration.preprocessing import Preprocessing

FOLDER = Path(__file__).parent
IMAGENET = {"scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def images() -> dict[str, Image.Image]:
    from sklearn.datasets import load_sample_image

    noise = np.random.default_rng(7).integers(0, 256, (23, 37, 3), np.uint8)
    photo = Image.fromarray(load_sample_image("flower.jpg")).resize((160, 107))
    return {"photo.png": photo, "noise.png": Image.fromarray(noise)}


def cases() -> list[tuple[str, str, Preprocessing]]:
    mean_image = np.random.default_rng(8).uniform(90, 140, (24, 30, 3)).astype(np.float16)
    return [
        ("squash, smaller", "photo.png", Preprocessing(size=(24, 30), **IMAGENET)),
        ("squash, larger", "noise.png", Preprocessing(size=(41, 52))),
        ("squash, one way larger, the other smaller", "noise.png", Preprocessing(size=(50, 11))),
        ("to one pixel", "photo.png", Preprocessing(size=(1, 1))),
        (
            "shorter side, crop, odd margins",
            "photo.png",
            Preprocessing(size=(32, 32), crop=(27, 23), resize="shorter_side", **IMAGENET),
        ),
        (
            "shorter side of another ratio",
            "noise.png",
            Preprocessing(size=(20, 40), crop=(20, 40), resize="shorter_side"),
        ),
        ("as it is", "noise.png", Preprocessing(size=(23, 37), crop=(20, 30), resize="none")),
        (
            "blue first",
            "photo.png",
            Preprocessing(size=(25, 25), crop=(21, 21), channels="BGR", mean=(104.0, 116.7, 122.7)),
        ),
        (
            "grey",
            "photo.png",
            Preprocessing(
                size=(28, 28), channels="GRAY", scale=1 / 255, mean=(0.286,), std=(0.353,)
            ),
        ),
        (
            "mean image",
            "photo.png",
            Preprocessing(
                size=(24, 30),
                crop=(20, 21),
                channels="BGR",
                mean_image=mean_image.astype(np.float32),
            ),
        ),
    ]


def document() -> dict[str, Any]:
    sources = images()
    rows = []
    for name, source, preprocessing in cases():
        row = {
            "name": name,
            "image": source,
            "input": preprocessing.to_metadata(),
            "shape": list(preprocessing.output_shape),
            "pixels": _text(preprocessing.pixels(sources[source])),
            "values": _text(preprocessing(sources[source]).astype("<f4")),
        }
        if preprocessing.mean_image is not None:
            row["mean_image"] = _text(preprocessing.mean_image.astype("<f2"))
        rows.append(row)
    return {"format": 1, "cases": rows}


def _text(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


if __name__ == "__main__":
    for name, image in images().items():
        image.save(FOLDER / name, optimize=True)
    text = json.dumps(document(), indent=1)
    (FOLDER / "preprocessing.json").write_text(text + "\n", encoding="utf-8")
