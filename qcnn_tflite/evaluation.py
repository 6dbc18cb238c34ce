"""Accuracy of a model on labelled images, and of its float twin on the same ones."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import queue
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calibration.images import CalibrationImages, LabelledImages, load_labelled
from .calibration.preprocessing import Preprocessing, TenCrops
from .classification import check_crops
from .classifier import Classifier, ModelSource
from .errors import ConfigError, DataError, ModelError
from .files import check_output, write_atomically
from .machine import cpu_count
from .progress import Progress
from .tally import Interval, Tally, interval

_BATCH = 16
# Images between two savings of the counts, and of a worker at a time.
_PART = 8 * _BATCH


@dataclass(frozen=True)
class Evaluation:
    """Accuracies in [0, 1] over `images` images.

    Attributes
    ----------
    images : int
    top1, top5 : float
    reference_top1, reference_top5 : float or None
        Of the reference on the same images.
    agreement : float or None
        Share of images on which both models name the same class first.
    output_error : float or None
        ‖output - reference output‖² / ‖reference output‖² over all images.
    standard_error : float or None
        Of the difference of the two top-1 accuracies, from the paired images, in points.
    top1_interval, top5_interval : (float, float)
        95 % (Wilson).
    unreadable : tuple of str
        Images that could not be decoded and are left out.
    partial : str or None
        Why not all images are in it.
    """

    images: int
    top1: float
    top5: float
    reference_top1: float | None = None
    reference_top5: float | None = None
    agreement: float | None = None
    output_error: float | None = None
    standard_error: float | None = None
    top1_interval: Interval = (0.0, 1.0)
    top5_interval: Interval = (0.0, 1.0)
    unreadable: tuple[str, ...] = ()
    partial: str | None = None

    @property
    def top1_drop(self) -> float | None:
        """Points of top-1 accuracy (percent) below the reference."""
        return None if self.reference_top1 is None else 100 * (self.reference_top1 - self.top1)

    @property
    def top5_drop(self) -> float | None:
        """Points of top-5 accuracy (percent) below the reference."""
        return None if self.reference_top5 is None else 100 * (self.reference_top5 - self.top5)

    def to_dict(self) -> dict[str, Any]:
        drops = {"top1_drop": self.top1_drop, "top5_drop": self.top5_drop}
        return {**dataclasses.asdict(self), **drops}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        lines = [
            f"{self.images:,} images: top-1 {self.top1:.2%}, top-5 {self.top5:.2%}",
            f"95 % intervals: {_percents(self.top1_interval)}, {_percents(self.top5_interval)}",
        ]
        if self.partial:
            lines.insert(0, f"PARTIAL: {self.partial}")
        if self.reference_top1 is not None and self.reference_top5 is not None:
            drops = f"top-1 {-(self.top1_drop or 0):+.2f}, top-5 {-(self.top5_drop or 0):+.2f}"
            lines += [
                f"reference: top-1 {self.reference_top1:.2%}, top-5 {self.reference_top5:.2%}",
                f"difference in points: {drops}; standard error of top-1 {self.standard_error:.2f}",
                f"same first class on {self.agreement:.2%} of the images",
                f"relative squared error of the outputs: {self.output_error:.2e}",
            ]
        if self.unreadable:
            lines.append(
                f"left out, could not be decoded: {len(self.unreadable)}, such as {self.unreadable[0]}"
            )
        return "\n".join(lines)


def _percents(interval: Interval) -> str:
    return f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f} %"


class EvaluationInterrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of an evaluation.

    Attributes
    ----------
    evaluation : Evaluation or None
        Of the images until then; None if there were none.
    """

    def __init__(self, evaluation: Evaluation | None) -> None:
        super().__init__()
        self.evaluation = evaluation


def evaluate(
    model: ModelSource,
    data: Any,
    reference: ModelSource | None = None,
    *,
    preprocessing: Preprocessing | None = None,
    label_offset: int = 0,
    limit: int | None = None,
    threads: int | None = None,
    kernel: str = "auto",
    lrn: bool = True,
    crops: int = 1,
    jobs: int = 1,
    resume: str | os.PathLike[str] | None = None,
    skip_unreadable: bool = False,
    progress: bool | None = None,
) -> Evaluation:
    """Top-1 and top-5 accuracy of a model, and of a reference on the same images.

    Images stream by; memory does not grow with their number.

    Parameters
    ----------
    model : path or bytes
        A ``.tflite`` whose only output holds one value per class.
    data : path or LabelledImages
        Labelled images, see `qcnn_tflite.calibration.images.load_labelled`. Subfolders that are all
        named like classes of the model, by the whole name or the first word (a synset), are those
        classes; else they are numbered in the order of their names.
    reference : path or bytes, optional
        Usually the float model.
    preprocessing : Preprocessing, optional
        The model's metadata tells it unless given.
    label_offset : int
        Added to the labels, e.g. 1 for a model whose class 0 is the background.
    limit : int, optional
        The first `limit` images only.
    threads : int, optional
        Default: all processors. Shared by the workers.
    kernel, lrn
        As for `Interpreter`.
    crops : {1, 10}
        Patches of every image whose probabilities are averaged, as for `classify`.
    jobs : int
        Workers, each with its own interpreters, at work on different images. The result does not
        depend on them.
    resume : path, optional
        A file in which the counts are kept on the way; an evaluation that finds one there goes on
        from it. Removed at the end.
    skip_unreadable : bool
        Leave out images that cannot be decoded, and name them in the result. Default: stop there.
    progress : bool, optional
        Show a progress bar on stderr; default: if that is a terminal.

    Raises
    ------
    ModelError, DataError, ConfigError
    EvaluationInterrupted
        On Ctrl-C, with the counts until then.
    """
    check_crops(crops)
    if jobs < 1:
        raise ConfigError(f"jobs must be at least 1, got {jobs}")
    each = max(1, (threads or cpu_count()) // jobs)

    def open_models() -> list[Classifier]:
        first = Classifier(model, preprocessing, each, kernel, lrn)
        if reference is None:
            return [first]
        return [first, Classifier(reference, first.preprocessing, each, kernel, lrn)]

    models = open_models()
    first = models[0]
    if models[-1].classes != first.classes:
        raise ModelError(
            f"the model has {first.classes} outputs and the reference {models[-1].classes}; "
            "compare a model with the one that it was made from"
        )
    images = _labelled(data, first, crops, limit, label_offset)
    _check_labels(images.labels + label_offset, first.classes)
    options = [label_offset, crops, kernel, lrn, repr(first.preprocessing)]
    kept = None if resume is None else _Kept(Path(resume), model, reference, images, options)
    total, done = (Tally(), 0) if kept is None else kept.load()
    parts = [range(i, min(i + _PART, len(images))) for i in range(0, len(images), _PART)]
    free: queue.SimpleQueue[list[Classifier]] = queue.SimpleQueue()
    free.put(models)
    for _ in range(jobs - 1):
        free.put(open_models())

    def work(part: range) -> Tally:
        mine = free.get()
        try:
            return _part_tally(mine, images, part, crops, label_offset, skip_unreadable)
        finally:
            free.put(mine)

    try:
        with ThreadPoolExecutor(jobs) as pool, Progress(len(images), "images", progress) as bar:
            bar.advance(sum(map(len, parts[:done])))
            # A few parts ahead, so that memory does not grow with the number of images.
            ahead: deque[Future[Tally]] = deque()
            for number in range(done, len(parts) + 2 * jobs):
                if number < len(parts):
                    ahead.append(pool.submit(work, parts[number]))
                if len(ahead) == 2 * jobs or (number >= len(parts) and ahead):
                    try:
                        found = ahead.popleft().result()
                    except BaseException:
                        pool.shutdown(wait=False, cancel_futures=True)
                        raise
                    total.merge(found)
                    bar.advance(found.images + len(found.unreadable))
                    done += 1
                    if kept is not None:
                        kept.save(total, done)
    except KeyboardInterrupt:
        sentence = f"interrupted after {total.images:,} of {len(images):,} images"
        if kept is not None:
            sentence += f"; the same command goes on from {kept.path}"
        partial = _evaluation(total, len(models) > 1, sentence) if total.images else None
        raise EvaluationInterrupted(partial) from None
    if not total.images:
        raise DataError("there are no labelled images; expected at least one")
    if kept is not None:
        kept.remove()
    return _evaluation(total, len(models) > 1)


def _part_tally(
    models: list[Classifier],
    images: LabelledImages,
    part: range,
    crops: int,
    label_offset: int,
    skip_unreadable: bool,
) -> Tally:
    tally = Tally()

    def add(indices: Sequence[int]) -> None:
        for batch, given in images.batches(_BATCH, indices):
            outputs = [model.averaged(batch, crops) for model in models]
            tally.add(outputs[0], outputs[1] if len(outputs) > 1 else None, given + label_offset)

    if not skip_unreadable:
        add(part)
        return tally
    for start in range(part.start, part.stop, _BATCH):
        indices = range(start, min(start + _BATCH, part.stop))
        add(readable(images.images, indices, tally.unreadable))
    return tally


def readable(
    images: CalibrationImages, indices: Sequence[int], unreadable: list[str]
) -> Sequence[int]:
    """The indices of images that can be decoded; the names of the others go to `unreadable`."""
    try:
        for _ in images.batches(len(indices), indices):
            pass
    except DataError:
        pass
    else:
        return indices
    found = []
    for index in indices:
        try:
            next(images.batches(1, [index]))
        except DataError:
            unreadable.append(images.name(index))
        else:
            found.append(index)
    return found


def _labelled(
    data: Any, model: Classifier, crops: int, limit: int | None, label_offset: int
) -> LabelledImages:
    shape, prepare = model.input_shape, model.preprocessing
    if crops == 10:
        prepare = TenCrops(prepare)
        shape = (shape[0], *prepare.output_shape)
    labels = None if label_offset else _class_names(data, model)
    try:
        return load_labelled(data, prepare, shape, limit=limit, labels=labels)
    except DataError as error:
        if crops == 1:
            raise
        raise DataError(
            f"{error}; ten crops are cut out of image files or uint8 pixels, prepared inputs have one"
        ) from error


def _class_names(data: Any, model: Classifier) -> list[str] | None:
    """The model's class names, if all subfolders of the data are named like some of them."""
    names = (model.metadata.get("output") or {}).get("labels")
    if not names or not isinstance(data, (str, os.PathLike)) or not Path(data).is_dir():
        return None
    known = {key for name in names for key in (name, name.split(" ")[0])}
    folders = [p.name for p in Path(data).iterdir() if p.is_dir() and p.name[0] != "."]
    return list(names) if folders and known.issuperset(folders) else None


def _check_labels(labels: NDArray[np.int64], classes: int) -> None:
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise DataError(
            f"the labels reach from {labels.min()} to {labels.max()} but the model has classes "
            f"0 to {classes - 1}; check the labels, or shift them with label_offset "
            "(--label-offset)"
        )


class _Kept:
    """Counts in a file, so that an evaluation can be gone on with.

    Parameters
    ----------
    path : Path
    model, reference, images, options
        What the counts are of: the file says so, in a hash, and serves nothing else.
    """

    def __init__(
        self,
        path: Path,
        model: ModelSource,
        reference: ModelSource | None,
        images: LabelledImages,
        options: list[Any],
    ) -> None:
        self.path = check_output(path, overwrite=True)
        digest = hashlib.sha256(json.dumps([*options, _PART, len(images)]).encode())
        digest.update(images.labels.tobytes())
        for index in range(len(images)):
            digest.update(images.images.name(index).encode() + b"\0")
        for source in (model, reference):
            if source is not None:
                digest.update(source if isinstance(source, bytes) else Path(source).read_bytes())
        self._of = digest.hexdigest()

    def load(self) -> tuple[Tally, int]:
        """The counts, and of how many parts they are.

        Raises
        ------
        ConfigError
            If the file is of another evaluation, or none.
        """
        if not self.path.exists():
            return Tally(), 0
        try:
            state = json.loads(self.path.read_text(encoding="utf-8"))
            if state["of"] != self._of:
                raise ValueError("another model, other images or other settings")
            return Tally.from_state(state["tally"]), int(state["parts"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(
                f"{self.path} does not hold the counts of this evaluation ({error}); give another name, "
                "or remove it"
            ) from error

    def save(self, tally: Tally, parts: int) -> None:
        state = {"of": self._of, "parts": parts, "tally": tally.state()}
        write_atomically(self.path, json.dumps(state).encode(), overwrite=True)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def _evaluation(tally: Tally, paired: bool, partial: str | None = None) -> Evaluation:
    n = tally.images
    rates = [hits / n for hits in tally.hits]
    more: dict[str, Any] = {}
    if paired:
        floats = [hits / n for hits in tally.reference_hits]
        drop = floats[0] - rates[0]
        variance = tally.changed / n - drop**2
        more = {
            "reference_top1": floats[0],
            "reference_top5": floats[1],
            "agreement": tally.agreed / n,
            "output_error": tally.difference / tally.energy if tally.energy else 0.0,
            "standard_error": 100 * float(np.sqrt(max(variance, 0.0) / n)),
        }
    return Evaluation(
        images=n,
        top1=rates[0],
        top5=rates[1],
        top1_interval=interval(tally.hits[0], n),
        top5_interval=interval(tally.hits[1], n),
        unreadable=tuple(tally.unreadable),
        partial=partial,
        **more,
    )
