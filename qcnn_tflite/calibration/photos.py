"""Photographs that every installation has, for who has none at hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..config import Config, LearningConfig
from .preprocessing import Preprocessing

COUNT = 300
PHOTOS_NOTE = (
    f"calibrated on {COUNT} crops of two photographs that scikit-learn brings, for want of others; a few "
    "hundred images of the kind that the network will see do better (calibration=FOLDER)"
)
_SIDE = 256
# Share of a photograph's area, and ratio of width to height, of a crop.
_AREAS, _RATIO = (0.08, 1.0), 4 / 3


def library_photos(count: int = COUNT, seed: int = 0) -> NDArray[np.uint8]:
    """Random crops, half of them mirrored, of the two photographs that scikit-learn brings.

    A temple and a flower: enough edges, textures and colours that MobileNet-v1 calibrated on 300 such crops
    names the same class as the float network on 90.6 % of 500 ImageNet images; on 300 images of ImageNet it is
    91.4 %, without any 44.0 % (docs/learning.md).

    Parameters
    ----------
    count : int
    seed : int

    Returns
    -------
    ndarray of shape (count, 256, 256, 3), uint8
    """
    from sklearn.datasets import load_sample_images

    photos = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    rng = np.random.default_rng(seed)
    crops = np.empty((count, _SIDE, _SIDE, 3), np.uint8)
    for i in range(count):
        crops[i] = _crop(photos[i % len(photos)], rng)
    return crops


def _crop(photo: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
    while True:
        area = photo.width * photo.height * rng.uniform(*_AREAS)
        ratio = math.exp(rng.uniform(-math.log(_RATIO), math.log(_RATIO)))
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if width <= photo.width and height <= photo.height:
            break
    x = int(rng.integers(photo.width - width + 1))
    y = int(rng.integers(photo.height - height + 1))
    box = (x, y, x + width, y + height)
    pixels = np.asarray(photo.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC, box=box))
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def takes_photos(preprocessing: Preprocessing | None) -> bool:
    """Whether a network is known to look at colour images."""
    return preprocessing is not None and preprocessing.channels in ("RGB", "BGR")


def for_photos(config: Config) -> Config:
    """Learning that does not trust two photographs too far.

    A convolution sees thousands of their patches, a fully-connected layer 300 crops of two pictures, and the
    held-out crops are of the same two: AlexNet loses 5.3 points of top-1 with error correction of all layers,
    3.3 with plain product quantization of the fully-connected ones.
    """
    learning = config.learning
    if learning.fc_damping != LearningConfig().fc_damping:
        return config
    return replace(config, learning=replace(learning, fc_damping=(math.inf,)))
