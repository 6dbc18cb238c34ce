"""Accuracy of a model on labelled images, and of its float twin on the same ones."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .calibration.images import load_labelled
from .calibration.preprocessing import Preprocessing, TenCrops
from .errors import ConfigError, DataError, ModelError
from .graph import Model, read_mean_image, read_metadata, read_model
from .machine import cpu_count
from .progress import Progress
from .runtime import Interpreter

FloatArray = NDArray[np.float32]
# A model: its file or its bytes.
ModelSource = str | os.PathLike[str] | bytes

_BATCH = 16


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
        Of the difference of the two top-1 accuracies, from the paired images.
    """

    images: int
    top1: float
    top5: float
    reference_top1: float | None = None
    reference_top5: float | None = None
    agreement: float | None = None
    output_error: float | None = None
    standard_error: float | None = None

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
        lines = [f"{self.images:,} images: top-1 {self.top1:.2%}, top-5 {self.top5:.2%}"]
        if self.reference_top1 is not None and self.reference_top5 is not None:
            drops = f"top-1 {-(self.top1_drop or 0):+.2f}, top-5 {-(self.top5_drop or 0):+.2f}"
            lines += [
                f"reference: top-1 {self.reference_top1:.2%}, top-5 {self.reference_top5:.2%}",
                f"difference in points: {drops}; standard error of top-1 {self.standard_error:.2f}",
                f"same first class on {self.agreement:.2%} of the images",
                f"relative squared error of the outputs: {self.output_error:.2e}",
            ]
        return "\n".join(lines)


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
    _check_crops(crops)
    classifier = _Classifier(model, preprocessing, threads, kernel, lrn)
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
    progress: bool | None = None,
) -> Evaluation:
    """Top-1 and top-5 accuracy of a model, and of a reference on the same images.

    Parameters
    ----------
    model : path or bytes
        A ``.tflite`` whose only output holds one value per class.
    data : path or LabelledImages
        Labelled images, see `qcnn_tflite.calibration.images.load_labelled`.
    reference : path or bytes, optional
        Usually the float model.
    preprocessing : Preprocessing, optional
        The model's metadata tells it unless given.
    label_offset : int
        Added to the labels, e.g. 1 for a model whose class 0 is the background.
    limit : int, optional
        The first `limit` images only.
    threads : int, optional
        Default: all processors.
    kernel, lrn
        As for `Interpreter`.
    crops : {1, 10}
        Patches of every image whose probabilities are averaged, as for `classify`.
    progress : bool, optional
        Show a progress bar on stderr; default: if that is a terminal.

    Raises
    ------
    ModelError, DataError, ConfigError
    """
    _check_crops(crops)
    first = _Classifier(model, preprocessing, threads, kernel, lrn)
    second = (
        None
        if reference is None
        else _Classifier(reference, first.preprocessing, threads, kernel, lrn)
    )
    if second is not None and second.classes != first.classes:
        raise ModelError(
            f"the model has {first.classes} outputs and the reference {second.classes}; "
            "compare a model with the one that it was made from"
        )
    shape, prepare = first.input_shape, first.preprocessing
    if crops == 10:
        prepare = TenCrops(prepare)
        shape = (shape[0], *prepare.output_shape)
    try:
        images = load_labelled(data, prepare, shape, limit=limit)
    except DataError as error:
        if crops == 1:
            raise
        raise DataError(
            f"{error}; ten crops are cut out of image files or uint8 pixels, prepared inputs have one"
        ) from error
    tally = _Tally(second is not None)
    with Progress(len(images), "images", progress) as bar:
        for batch, given in images.batches(_BATCH):
            labels = given + label_offset
            if labels.size and not 0 <= labels.min() <= labels.max() < first.classes:
                raise DataError(
                    f"the labels reach from {labels.min()} to {labels.max()} but the model has classes "
                    f"0 to {first.classes - 1}; check the labels, or shift them with label_offset "
                    "(--label-offset)"
                )
            tally.add(
                labels,
                first.averaged(batch, crops),
                None if second is None else second.averaged(batch, crops),
            )
            bar.advance(len(labels))
    return tally.evaluation()


def _check_crops(crops: int) -> None:
    if crops not in (1, 10):
        raise ConfigError(f"crops: expected 1 or 10, got {crops!r}")


class _Tally:
    """Sums over batches."""

    def __init__(self, paired: bool) -> None:
        self.images = 0
        self._paired = paired
        self._hits = np.zeros((2, 2))  # model or reference, top-1 or top-5
        self._agreed = 0
        self._difference = 0.0
        self._energy = 0.0
        self._changed = 0  # images on which exactly one of the two is right

    def add(
        self, labels: NDArray[np.int64], outputs: FloatArray, reference: FloatArray | None
    ) -> None:
        self.images += len(labels)
        top = _top5(outputs)
        self._count(0, top, labels)
        if reference is None:
            return
        reference_top = _top5(reference)
        self._count(1, reference_top, labels)
        self._agreed += int((top[:, 0] == reference_top[:, 0]).sum())
        right, reference_right = top[:, 0] == labels, reference_top[:, 0] == labels
        self._changed += int((right != reference_right).sum())
        self._difference += float(np.square(outputs - reference, dtype=np.float64).sum())
        self._energy += float(np.square(reference, dtype=np.float64).sum())

    def _count(self, row: int, top: NDArray[np.int64], labels: NDArray[np.int64]) -> None:
        hits = top == labels[:, None]
        self._hits[row] += hits[:, 0].sum(), hits.any(axis=1).sum()

    def evaluation(self) -> Evaluation:
        if not self.images:
            raise DataError("there are no labelled images; expected at least one")
        rates = self._hits / self.images
        if not self._paired:
            return Evaluation(self.images, float(rates[0, 0]), float(rates[0, 1]))
        drop = float(rates[1, 0] - rates[0, 0])
        variance = self._changed / self.images - drop**2
        return Evaluation(
            images=self.images,
            top1=float(rates[0, 0]),
            top5=float(rates[0, 1]),
            reference_top1=float(rates[1, 0]),
            reference_top5=float(rates[1, 1]),
            agreement=self._agreed / self.images,
            output_error=self._difference / self._energy if self._energy else 0.0,
            standard_error=100 * float(np.sqrt(max(variance, 0.0) / self.images)),
        )


class _Classifier:
    """A model with one image input and one output of class scores, run in batches."""

    def __init__(
        self,
        source: ModelSource,
        preprocessing: Preprocessing | None,
        threads: int | None,
        kernel: str,
        lrn: bool,
    ) -> None:
        model = read_model(source)
        self.metadata: dict[str, Any] = read_metadata(model) or {}
        self.preprocessing = preprocessing or self._declared(model)
        options: dict[str, Any] = (
            {"model_content": source}
            if isinstance(source, bytes)
            else {"model_path": os.fspath(source)}
        )
        self._interpreter = Interpreter(
            **options, num_threads=threads or cpu_count(), kernel=kernel, lrn=lrn
        )
        self._interpreter.allocate_tensors()
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        self.input_shape = tuple(int(n) for n in inputs[0]["shape"]) if inputs else ()
        if len(inputs) != 1 or len(outputs) != 1 or len(self.input_shape) != 4:
            raise ModelError(
                f"expected a classifier with one image input and one output, got {len(inputs)} inputs "
                f"and {len(outputs)} outputs; run other models with qcnn_tflite.Interpreter"
            )
        self.classes = int(outputs[0]["shape"][-1])
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]
        self._batch = self.input_shape[0]

    def _declared(self, model: Model) -> Preprocessing:
        if "input" not in self.metadata:
            raise ModelError(
                "the model does not say how images are prepared for it (no qcnn_tflite metadata); "
                "give a preprocessing (--preprocessing)"
            )
        return Preprocessing.from_metadata(self.metadata, read_mean_image(model))

    def run(self, batch: FloatArray) -> FloatArray:
        """Outputs of shape (n, classes) for images of shape (n, H, W, C)."""
        if len(batch) != self._batch:
            try:
                self._resize(len(batch))
            except (RuntimeError, ValueError):  # e.g. a RESHAPE to a fixed batch
                self._resize(1)
        pieces = [self._run(batch[i : i + self._batch]) for i in range(0, len(batch), self._batch)]
        return np.concatenate(pieces)

    def averaged(self, batch: FloatArray, crops: int) -> FloatArray:
        """Outputs for images; of ten patches one below another, their probabilities' average."""
        if crops == 1:
            return self.run(batch)
        patches = batch.reshape(len(batch) * crops, -1, *batch.shape[2:])
        probabilities = self.probabilities(self.run(patches))
        return probabilities.reshape(len(batch), crops, -1).mean(axis=1)

    def probabilities(self, outputs: FloatArray) -> FloatArray:
        """Outputs of shape (n, classes), after a softmax unless the model applies one."""
        applied = (self.metadata.get("output") or {}).get("softmax_applied")
        if applied is None:
            applied = all(_is_distribution(scores) for scores in outputs)
        return outputs if applied else np.stack([_softmax(scores) for scores in outputs])

    def _resize(self, count: int) -> None:
        self._interpreter.resize_tensor_input(self._input, [count, *self.input_shape[1:]])
        self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(
            self._input, np.zeros((count, *self.input_shape[1:]), np.float32)
        )
        self._interpreter.invoke()
        if self._interpreter.get_tensor(self._output).size != count * self.classes:
            raise ValueError("the output does not follow the batch")
        self._batch = count

    def _run(self, batch: FloatArray) -> FloatArray:
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(batch, np.float32))
        self._interpreter.invoke()
        output: FloatArray = self._interpreter.get_tensor(self._output)
        return output.reshape(len(batch), self.classes)


def _top5(outputs: FloatArray) -> NDArray[np.int64]:
    return np.argsort(-outputs, axis=1, kind="stable")[:, :5]


def _is_distribution(scores: FloatArray) -> bool:
    return bool(scores.min() >= 0 and abs(float(scores.sum()) - 1) < 1e-3)


def _softmax(scores: FloatArray) -> FloatArray:
    powers: FloatArray = np.exp(scores - scores.max())
    return powers / powers.sum()
