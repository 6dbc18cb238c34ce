"""Accuracy of several forms of a model on the same images, each decoded once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..calibration.images import LabelledImages, load_calibration, load_labelled
from ..calibration.preprocessing import Preprocessing
from ..classifier import Classifier
from ..errors import DataError
from ..evaluation import readable
from ..progress import Progress
from ..tally import Tally, interval
from .entry import Entry, Settings

_BATCH = 16


def measure_accuracy(
    entries: Sequence[Entry],
    data: str,
    settings: Settings,
    *,
    preprocessing: Preprocessing | None = None,
    label_offset: int = 0,
    limit: int | None = None,
    progress: bool | None = None,
) -> list[dict[str, Any]]:
    """Top-1 and top-5 of every entry, and agreement with the first one if that is float.

    Images that cannot be decoded are left out and counted.

    Parameters
    ----------
    entries : sequence of Entry
        `.tflite` files.
    data : path
        Labelled images as `qcnn_tflite.evaluate` takes them, or unlabelled ones as for calibration:
        then there is agreement alone.
    settings : Settings
    preprocessing : Preprocessing, optional
        Default: as one of the models declares.
    label_offset, limit : int
        As for `qcnn_tflite.evaluate`.
    progress : bool, optional

    Returns
    -------
    list of dict
        ``accuracy`` of a result for every entry.

    Raises
    ------
    ModelError
        If a model is no classifier, or none says how images are prepared.
    DataError
        If there are no images that can be read.
    """
    models = _open(entries, preprocessing, settings)
    prepare = models[0].preprocessing
    labels = None
    try:
        labelled: LabelledImages = load_labelled(data, prepare, models[0].input_shape, limit=limit)
        images, labels = labelled.images, labelled.labels + label_offset
    except DataError:
        if Path(data).suffix.lower() in (".csv", ".npz"):
            raise
        images = load_calibration(data, prepare, models[0].input_shape, limit)
    if labels is not None and not 0 <= labels.min() <= labels.max() < models[0].classes:
        raise DataError(
            f"the labels reach from {labels.min()} to {labels.max()} but the model has classes 0 to "
            f"{models[0].classes - 1}; shift them with --label-offset"
        )
    has_float = entries[0].variant == "float"
    tallies = [Tally() for _ in entries]
    unreadable: list[str] = []
    with Progress(len(images), "images", progress) as bar:
        for start in range(0, len(images), _BATCH):
            asked = range(start, min(start + _BATCH, len(images)))
            indices = readable(images, asked, unreadable)
            for batch in images.batches(_BATCH, indices):
                given = None if labels is None else labels[np.asarray(indices)]
                outputs = [model.run(batch) for model in models]
                for tally, found in zip(tallies, outputs, strict=True):
                    tally.add(found, outputs[0] if has_float else None, given)
            bar.advance(len(asked))
    if not tallies[0].images:
        raise DataError(f"{data}: none of its {len(images)} images can be decoded")
    return [_described(t, labels is not None, has_float, len(unreadable)) for t in tallies]


def _open(
    entries: Sequence[Entry], preprocessing: Preprocessing | None, settings: Settings
) -> list[Classifier]:
    def classifier(entry: Entry, prepare: Preprocessing | None) -> Classifier:
        kernel = settings.kernel if entry.kernel else "auto"
        return Classifier(entry.path, prepare, settings.threads, kernel, entry.lrn != "stock")

    if preprocessing is None:
        # A file of another converter says nothing; one of ours, made from it, may.
        declared = sorted(entries, key=lambda entry: entry.variant != "q")
        preprocessing = classifier(declared[0], None).preprocessing
    return [classifier(entry, preprocessing) for entry in entries]


def _described(tally: Tally, labelled: bool, has_float: bool, unreadable: int) -> dict[str, Any]:
    found: dict[str, Any] = {"images": tally.images}
    if labelled:
        for name, hits in zip(("top1", "top5"), tally.hits, strict=True):
            found[name] = hits / tally.images
            found[f"{name}_interval"] = list(interval(hits, tally.images))
    if has_float:
        found["agreement"] = tally.agreed / tally.images
    if unreadable:
        found["unreadable"] = unreadable
    return found
