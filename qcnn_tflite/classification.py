"""The most probable classes of one image."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .calibration.preprocessing import Preprocessing
from .classifier import Classifier, ModelSource
from .errors import ConfigError


@dataclass(frozen=True)
class Prediction:
    """One of the most probable classes."""

    index: int
    label: str
    probability: float


class Predictions(list[Prediction]):
    """The most probable classes, the best first.

    Attributes
    ----------
    seconds : float
        What the network took, without reading and preparing the image.
    """

    def __init__(self, predictions: Iterable[Prediction], seconds: float) -> None:
        super().__init__(predictions)
        self.seconds = seconds


def classify(
    model: ModelSource,
    image: str | os.PathLike[str] | Image.Image | NDArray[np.uint8],
    *,
    top: int = 5,
    preprocessing: Preprocessing | None = None,
    labels: list[str] | None = None,
    threads: int | None = None,
    kernel: str = "auto",
    lrn: bool = True,
    crops: int = 1,
) -> Predictions:
    """The most probable classes of one image.

    Parameters
    ----------
    model : path or bytes
        A ``.tflite`` whose only output holds one value per class.
    image : path, PIL.Image.Image or ndarray of shape (H, W, 3), uint8
        Any format that Pillow opens; turned as its EXIF orientation says, transparency over white.
    top : int
    preprocessing : Preprocessing, optional
        The model's metadata tells it unless given.
    labels : list of str, optional
        As `preprocessing`; else the class numbers.
    threads : int, optional
        Default: all processors.
    kernel, lrn
        As for `Interpreter`.
    crops : {1, 10}
        Patches of the image whose probabilities are averaged: the middle, or that, the corners, and
        all of them mirrored.

    Returns
    -------
    Predictions
        A list, the most probable class first, and the time that the network took.

    Raises
    ------
    ModelError, DataError, ConfigError
    """
    check_crops(crops)
    classifier = Classifier(model, preprocessing, threads, kernel, lrn)
    prepare = classifier.preprocessing
    patches = prepare(image)[None] if crops == 1 else prepare.ten_crops(image)
    began = time.perf_counter()
    scores = classifier.run(patches)
    seconds = time.perf_counter() - began
    probabilities = classifier.probabilities(scores).mean(axis=0)
    metadata = classifier.metadata.get("output") or {}
    names = labels or metadata.get("labels") or []
    best = np.argsort(-probabilities, kind="stable")[: max(1, top)]
    found = (
        Prediction(int(i), names[i] if i < len(names) else f"class {i}", float(probabilities[i]))
        for i in best
    )
    return Predictions(found, seconds)


def check_crops(crops: int) -> None:
    """Refuse another number of patches than 1 and 10."""
    if crops not in (1, 10):
        raise ConfigError(f"crops: expected 1 or 10, got {crops!r}")
