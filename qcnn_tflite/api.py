"""`convert`: from a float network to product-quantized weights in custom ops."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import cost_model, distillation, models
from .budget import Budget, convert_within
from .calibration.images import load_calibration
from .calibration.memory import check_memory
from .calibration.photos import PHOTOS_NOTE, for_photos, library_photos, takes_photos
from .calibration.preprocessing import Preprocessing
from .comparison import held_out_agreement
from .config import PRESETS, Config
from .errors import ConfigError, OutputError
from .files import check_output, write_atomically
from .graph import (
    Model,
    check_convertible,
    find_layers,
    read_mean_image,
    read_metadata,
    read_model,
    rewrite,
    with_constants,
)
from .learning import learn_from_images, learn_without_images
from .plan import plan_layers
from .prediction import prediction_kernel, with_prediction
from .published import paper_notes
from .report import ConversionReport

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class ConversionResult:
    """What `convert` returns.

    Parameters
    ----------
    model : bytes
        The converted `.tflite`.
    float_model : bytes
        The float `.tflite` that it came from.
    report : ConversionReport
    """

    model: bytes
    float_model: bytes
    report: ConversionReport

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the converted model; whole or not at all.

        Raises
        ------
        OutputExistsError
            If `path` exists and `overwrite` is false.
        OutputError
            If it cannot be written.
        """
        return write_atomically(path, self.model, overwrite=overwrite)


def convert(
    model: Any,
    output: str | os.PathLike[str] | None = None,
    *,
    weights: str | os.PathLike[str] | None = None,
    config: Config | str | os.PathLike[str] | Mapping[str, Any] = "paper",
    calibration: Any = None,
    preprocessing: Preprocessing | None = None,
    float_output: str | os.PathLike[str] | None = None,
    seed: int = 0,
    jobs: int | None = None,
    progress: bool | None = None,
    overwrite: bool = False,
    predict_for: str = "auto",
    budget: Budget | Mapping[str, Any] | None = None,
    front: str | os.PathLike[str] | None = None,
    distill: int = 0,
    unlabelled: Any = None,
) -> ConversionResult:
    """Convert a float network to product-quantized weights.

    Parameters
    ----------
    model : str, path or keras.Model
        A named model (`qcnn-tflite models`), a Keras model, a SavedModel folder, or the path of a
        `.tflite`, `.keras` or `.h5` file.
    output : path, optional
        Where to write the converted `.tflite`; None writes nothing.
    weights : "random" or path, optional
        For named models: the path of a file, see `qcnn_tflite.models.weights.open_weights`; default: the
        published ones, which may be downloaded (`qcnn-tflite models`).
    config : Config, str, path or mapping, default="paper"
        See `Config.load`.
    calibration : path, ndarray or iterable, optional
        A folder of images, an `.npy` or `.npz` file, or arrays as the network takes them. A few
        hundred unlabelled images are enough. Without any, a network that is known to take colour
        images is calibrated on `qcnn_tflite.calibration.photos.library_photos` (unless its weights
        are random); of any other one, and with ``"none"``, the weights alone are approximated.
    preprocessing : Preprocessing, optional
        How images become the network's input, where the model does not know it (or knows it wrong);
        it is stored in the converted model for every later use.
    float_output : path, optional
        Where to write the float `.tflite` twin.
    seed : int, default=0
        Equal inputs and seeds give equal files.
    jobs : int, optional
        Processes for the k-means and threads for running the network; default: all cores, or what
        an active ``joblib.parallel_config`` says.
    progress : bool, optional
        Show a progress bar on stderr; default: if that is a terminal.
    overwrite : bool, default=False
    predict_for : str, default="auto"
        Kernel whose times the report predicts, e.g. ``"neon"``; default: that of this machine.
    budget : mapping, optional
        Chooses the setting of every layer within limits, e.g. ``{"size": "6MB"}``, ``{"speedup": 5}``
        or ``{"top5_drop": 1.0}``; see `qcnn_tflite.budget.Budget` and docs/learning.md. `config` then
        says how to learn, and which layers stay float in any case.
    front : path, optional
        With a budget: where to draw size and time against accuracy (PNG; the numbers are written
        beside it as JSON).
    distill : int, default=0
        Passes over unlabelled images in which codebooks, scales and biases are trained against the
        float network's outputs, see docs/learning.md. Takes TensorFlow and minutes; the best state
        on held-out images is kept. With `output`, the state of an interrupted training lies beside it
        as ``OUTPUT.distill``, and the same call goes on from it.
    unlabelled : path, ndarray or iterable, optional
        Images to distill on, as `calibration`; default: the calibration images.

    Returns
    -------
    ConversionResult

    Raises
    ------
    ModelError, ConfigError, DataError, OutputError
    RuntimeMissingError
        If `distill` is asked for and TensorFlow is missing.
    """
    started = time.perf_counter()
    settings = Config.load(config)
    kernel = prediction_kernel(predict_for)
    for path in (output, float_output):
        if path is not None:
            check_output(path, overwrite=overwrite)
    if output is not None and float_output is not None and Path(output) == Path(float_output):
        raise OutputError(
            f"{output} is to hold both the converted and the float model; give them different names"
        )
    _check_distillation(distill, calibration, unlabelled)
    source = models.load_float(model, weights=weights, seed=seed, progress=progress)
    if preprocessing is not None:
        source = replace(source, preprocessing=preprocessing)
    notes: list[str] = []
    if isinstance(calibration, str) and calibration == "none":
        calibration = None
    elif calibration is None and weights != "random" and takes_photos(source.preprocessing):
        calibration, settings = library_photos(), for_photos(settings)
        notes.append(PHOTOS_NOTE)
    if budget is not None:
        again = partial(
            convert,
            model,
            weights=weights,
            preprocessing=preprocessing,
            seed=seed,
            jobs=jobs,
            progress=progress,
            predict_for=predict_for,
            distill=distill,
            unlabelled=unlabelled,
        )
        chosen: ConversionResult = convert_within(
            again,
            source,
            budget,
            calibration=calibration,
            config=settings,
            front=front,
            output=output,
            float_output=float_output,
            seed=seed,
            jobs=jobs,
            progress=progress,
            overwrite=overwrite,
            predict_for=predict_for,
        )
        chosen.report.notes[:0] = notes
        _write_both([(output, chosen.model), (float_output, chosen.float_model)], overwrite)
        return chosen
    if front is not None:
        raise ConfigError("a front is drawn of a search within a budget; give a budget, too")
    if source.name == "vgg16" and settings.conv == PRESETS["paper"].conv:
        # As published; there conv1_1 is quantized, too.
        smallest = min(settings.min_weights, 1024)
        settings = replace(settings, conv=replace(settings.conv, d=6), min_weights=smallest)
    graph = read_model(source.data)
    check_convertible(graph)
    layers = find_layers(graph)
    scales = settings.learning.output_scales
    planned, kept = plan_layers(layers, settings, scales=scales)
    if calibration is None:
        learned = learn_without_images(
            graph, planned, settings.learning, seed=seed, jobs=jobs, progress=progress
        )
    else:
        shape = graph.shape(int(graph.subgraph.inputs[0]))
        images = load_calibration(calibration, source.preprocessing, shape)
        check_memory(
            ((p.layer.name, p.layout, p.layer.positions) for p in planned),
            len(images),
            settings.learning.positions_per_image,
        )
        learned = learn_from_images(
            graph, planned, settings.learning, images, seed=seed, jobs=jobs, progress=progress
        )
    distilled = None
    changed = graph
    if distill:
        distilled = distillation.distill(
            graph,
            learned.constants,
            images
            if unlabelled is None
            else load_calibration(unlabelled, source.preprocessing, shape),
            passes=distill,
            seed=seed,
            progress=progress,
            checkpoint=None if output is None else Path(f"{output}.distill"),
        )
        learned.constants = distilled.constants
        changed = with_constants(graph, layers, distilled.floats)
    converted = rewrite(changed, learned.constants, *_metadata(graph, source))
    order = {layer.name: i for i, layer in enumerate(layers)}
    reports = sorted([*learned.reports, *kept], key=lambda r: order[r.name])
    if kernel is not None:
        reports = [with_prediction(r, layers[order[r.name]], kernel) for r in reports]
    agreement = None
    if calibration is not None:
        agreement = held_out_agreement(
            source.data,
            converted,
            images,
            fraction=settings.learning.held_out,
            seed=seed,
            threads=jobs,
        )
    report = ConversionReport(
        model=source.name,
        config=settings.name,
        layers=reports,
        float_bytes=len(source.data),
        quantized_bytes=len(converted),
        calibration_images=learned.images,
        seconds=time.perf_counter() - started,
        notes=[*notes, *learned.notes, *paper_notes(source.name, settings.name)],
        predicted_kernel=kernel or "",
        predicted_on=cost_model.origin(kernel) if kernel else "",
        agreement=agreement,
        distillation=None if distilled is None else distilled.report(),
    )
    result = ConversionResult(converted, source.data, report)
    _write_both([(output, converted), (float_output, source.data)], overwrite)
    return result


def _check_distillation(passes: Any, calibration: Any, unlabelled: Any) -> None:
    """Refused now rather than after minutes of learning."""
    if isinstance(passes, bool) or not isinstance(passes, int) or not 0 <= passes <= 10_000:
        raise ConfigError(f"distill: expected a number of passes from 0 to 10000, got {passes!r}")
    if passes and (calibration is None or (isinstance(calibration, str) and calibration == "none")):
        raise ConfigError(
            "distillation needs calibration images; give a few hundred unlabelled ones"
        )
    if unlabelled is not None and not passes:
        raise ConfigError("unlabelled images serve distillation only; say distill=PASSES, too")
    if passes:
        distillation.tensorflow()


def _write_both(files: list[tuple[str | os.PathLike[str] | None, bytes]], overwrite: bool) -> None:
    """Write the files that have a path, all or (unless one replaced another) none."""
    written: list[Path] = []
    try:
        for path, data in files:
            if path is not None:
                written.append(write_atomically(path, data, overwrite=overwrite))
    except BaseException:
        if not overwrite:
            for done in written:
                done.unlink(missing_ok=True)
        raise


def _metadata(
    graph: Model, source: models.FloatModel
) -> tuple[dict[str, Any] | None, FloatArray | None]:
    """Our metadata entries for the converted model; those of the float model stay where it has any."""
    if source.preprocessing is None:
        return read_metadata(graph), read_mean_image(graph)
    values: dict[str, Any] = {
        "model": source.name,
        "input": source.preprocessing.to_metadata(),
        "output": {"softmax_applied": bool(source.softmax_applied), "labels": source.labels or []},
    }
    if source.licence:
        values["licence"] = source.licence
    return values, source.preprocessing.mean_image
