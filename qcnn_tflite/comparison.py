"""`compare`: a converted network beside its float twin on unlabelled images."""

from __future__ import annotations

import dataclasses
import heapq
import json
import math
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .agreement import Agreement, AgreementSum, are_probabilities, top_classes
from .calibration.held_out import held_out_mask
from .calibration.images import CalibrationImages, Indices, load_calibration
from .calibration.preprocessing import Preprocessing
from .errors import ModelError, RuntimeMissingError
from .graph import (
    Layer,
    Model,
    QLayer,
    extract,
    find_layers,
    find_q_layers,
    read_mean_image,
    read_metadata,
    read_model,
)
from .graph.model import indices as tensor_indices
from .machine import cpu_count
from .progress import Progress
from .report import text_table
from .runtime import Interpreter

FloatArray = NDArray[np.float32]
ModelSource = str | os.PathLike[str] | bytes

_BATCH = 16
_STAND_IN = 128
_BATCH_BYTES = 64 << 20
_ACTIVATIONS = {0: "none", 1: "ReLU", 2: "ReLU N1 to 1", 3: "ReLU6"}


@dataclass(frozen=True)
class LayerComparison:
    """One quantized layer's response in the two networks.

    Attributes
    ----------
    name : str
    op : {"QConv", "QFC"}
    activation : str
        Fused into the layer; the response is what comes after it.
    error : float
        ‖response - float response‖² / ‖float response‖² over all images. Each network runs on its
        own inputs, so the errors of the layers before are in it.
    """

    name: str
    op: str
    activation: str
    error: float


@dataclass(frozen=True)
class WorstImage:
    """One of the images on which the networks differ most.

    Attributes
    ----------
    name : str
        Its file, or its number where the images came as arrays.
    index : int
    kl : float
    float_class, class_ : int
        First class of the float network and of the other one.
    """

    name: str
    index: int
    kl: float
    float_class: int
    class_: int


@dataclass(frozen=True)
class Comparison:
    """What `compare` found; ``str()`` is a table, `to_json` is for programs.

    Attributes
    ----------
    agreement : Agreement
    probabilities : bool
        Whether the outputs are probabilities; else they are logits, and the KL divergence is that
        of their softmax.
    layers : list of LayerComparison
        In graph order.
    worst : list of WorstImage
        By KL divergence, the worst first.
    """

    agreement: Agreement
    probabilities: bool
    layers: list[LayerComparison] = field(default_factory=list)
    worst: list[WorstImage] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        for image in values["worst"]:
            image["class"] = image.pop("class_")
        return values

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        a = self.agreement
        of = "outputs, which are probabilities" if self.probabilities else "logits"
        lines = [
            f"{a.images:,} images",
            f"same first class: {a.top1:.2%}",
            f"float's first class among the first five: {a.top5:.2%}",
            f"KL divergence of the {of}: {a.kl:.4f} nats",
            f"estimated top-5 drop, labels as the float network has them: {a.estimated_top5_drop:.2f} points",
        ]
        if self.layers:
            rows = [
                [layer.name, layer.op, layer.activation, f"{layer.error:.4f}"]
                for layer in self.layers
            ]
            lines += [
                "",
                "relative squared error of each layer's response, after its activation, on own inputs:",
                *text_table(["layer", "op", "activation", "error"], rows, right=[3]),
            ]
        if self.worst:
            rows = [[w.name, f"{w.kl:.4f}", str(w.float_class), str(w.class_)] for w in self.worst]
            lines += [
                "",
                "worst images:",
                *text_table(["image", "KL", "float class", "class"], rows, right=[1, 2, 3]),
            ]
        return "\n".join(lines)


def compare(
    float_model: ModelSource,
    q_model: ModelSource,
    images: Any,
    *,
    preprocessing: Preprocessing | None = None,
    layers: bool = True,
    worst: int = 10,
    limit: int | None = None,
    only: Indices | None = None,
    threads: int | None = None,
    kernel: str = "auto",
    lrn: bool = True,
    progress: bool | None = None,
) -> Comparison:
    """Run a float network and the one converted from it on the same images.

    Images stream by; memory does not grow with their number.

    Parameters
    ----------
    float_model, q_model : path or bytes
        ``.tflite`` classifiers: one image input, one output with a value per class.
    images : path, ndarray, iterable of ndarray or CalibrationImages
        As the calibration images of `convert`; no labels.
    preprocessing : Preprocessing, optional
        Default: as the metadata of `q_model` (else of `float_model`) declares.
    layers : bool
        Compare the responses of the quantized layers, too.
    worst : int
        How many of the worst images to list.
    limit : int, optional
        The first `limit` images only.
    only : sequence of int, optional
        These images only.
    threads : int, optional
        Default: all processors.
    kernel, lrn
        As for `Interpreter`; of both networks.
    progress : bool, optional
        Show a progress bar on stderr; default: if that is a terminal.

    Raises
    ------
    ModelError
        If a model is no such classifier, or the two do not belong together.
    DataError
        If the images do not fit.
    """
    reference, quantized = read_model(float_model), read_model(q_model)
    pairs = layer_pairs(reference, quantized) if layers else []
    count = threads or cpu_count()
    first = _Tapped(reference, [f.output for f, _ in pairs], count, kernel, lrn, "the float model")
    q_outputs = [tensor_indices(_operator(quantized, q).outputs)[0] for _, q in pairs]
    second = _Tapped(quantized, q_outputs, count, kernel, lrn, "the quantized model")
    if first.input_shape[1:] != second.input_shape[1:] or first.classes != second.classes:
        raise ModelError(
            f"the float model takes {_shape(first)} and the quantized model {_shape(second)}; compare "
            "a model with the one that it was made from"
        )
    prepare = preprocessing or _declared(quantized) or _declared(reference)
    source = load_calibration(images, prepare, first.input_shape, limit)
    order = np.arange(len(source)) if only is None else np.asarray(only, np.int64)
    total: AgreementSum | None = None
    softmax = False
    sums = np.zeros((len(pairs), 2))
    ranking: list[tuple[float, int, int, int]] = []
    done = 0
    with Progress(len(order), "images", progress) as bar:
        for batch in source.batches(min(first.batch, second.batch), order):
            floats, float_responses = first(batch)
            others, responses = second(batch)
            if total is None:
                softmax = are_probabilities(floats)
                finite = others[np.isfinite(others).all(axis=1)]
                if len(finite) and are_probabilities(finite) != softmax:
                    raise ModelError(
                        "one of the models ends in a softmax and the other does not; compare a model "
                        "with the one that it was made from"
                    )
                total = AgreementSum(probabilities=softmax)
            kl = total.add(floats, others)
            classes = zip(top_classes(floats, 1)[:, 0], top_classes(others, 1)[:, 0], strict=True)
            for i, (mine, other) in enumerate(classes):
                # The negative index: of equals the first image counts as worse.
                heapq.heappush(ranking, (kl[i], -int(order[done + i]), int(mine), int(other)))
                if len(ranking) > worst:
                    heapq.heappop(ranking)
            for row, a, b in zip(sums, float_responses, responses, strict=True):
                row += _power(b - a), _power(a)
            done += len(batch)
            bar.advance(len(batch))
    assert total is not None  # load_calibration refuses an empty set
    return Comparison(
        total.finish(),
        softmax,
        [
            LayerComparison(
                q.name,
                q.op,
                _ACTIVATIONS[q.options["activation"]],
                float(difference / power) if power else 0.0,
            )
            for (_, q), (difference, power) in zip(pairs, sums, strict=True)
        ],
        [
            WorstImage(source.name(-i), -i, float(kl), a, b)
            for kl, i, a, b in sorted(ranking, reverse=True)
        ],
    )


def held_out_agreement(
    float_model: bytes,
    q_model: bytes,
    images: CalibrationImages,
    *,
    fraction: float,
    seed: int,
    threads: int | None = None,
) -> Agreement | None:
    """Agreement on the calibration images that learning kept apart, for the report.

    Parameters
    ----------
    float_model, q_model : bytes
    images : CalibrationImages
    fraction : float
        As `held_out_mask`. Where that holds out none, the first images stand in.
    seed : int
    threads : int, optional

    Returns
    -------
    Agreement or None
        None if the models are no classifiers, or there is no library to run them.
    """
    mask = held_out_mask(len(images), fraction, seed)
    only = np.flatnonzero(mask) if mask.any() else np.arange(min(len(images), _STAND_IN))
    try:
        return compare(
            float_model,
            q_model,
            images,
            layers=False,
            worst=0,
            only=only,
            threads=threads,
            progress=False,
        ).agreement
    except (ModelError, RuntimeMissingError):
        return None


def layer_pairs(reference: Model, quantized: Model) -> list[tuple[Layer, QLayer]]:
    """Each quantized layer with the float layer that it replaced."""
    known = {layer.name: layer for layer in find_layers(reference) if not layer.subgraph}
    pairs = []
    for q in find_q_layers(quantized):
        layer = known.get(q.name)
        if layer is None:
            raise ModelError(
                f"the float model has no layer {q.name!r}, which the quantized model has; compare a "
                "model with the one that it was made from"
            )
        pairs.append((layer, q))
    return pairs


def _operator(model: Model, layer: QLayer) -> Any:
    return model.subgraph.operators[layer.op_index]


def _declared(model: Model) -> Preprocessing | None:
    metadata = read_metadata(model) or {}
    if "input" not in metadata:
        return None
    return Preprocessing.from_metadata(metadata, read_mean_image(model))


def _power(values: FloatArray) -> float:
    return float(np.square(values, dtype=np.float64).sum())


def _shape(network: _Tapped) -> str:
    return (
        f"images of shape {'x'.join(map(str, network.input_shape[1:]))} to {network.classes} values"
    )


class _Tapped:
    """A classifier that also shows the responses of some layers, run in batches.

    The tensors become outputs of the graph: delegates do not compute what is inside of them.
    """

    def __init__(
        self, model: Model, tensors: list[int], threads: int, kernel: str, lrn: bool, what: str
    ) -> None:
        inputs = tensor_indices(model.subgraph.inputs)
        outputs = tensor_indices(model.subgraph.outputs)
        shape = model.shape(inputs[0]) if inputs else ()
        if len(inputs) != 1 or len(outputs) != 1 or len(shape) != 4 or min(shape) < 1:
            raise ModelError(
                f"{what} has {len(inputs)} inputs, the first of shape {list(shape)}, and "
                f"{len(outputs)} outputs; only classifiers with one image input and one output can be "
                "compared"
            )
        self.input_shape = shape
        # A layer may well be the output; each tensor is asked for once.
        self._wanted = list(dict.fromkeys([outputs[0], *tensors]))
        self._places = [self._wanted.index(t) for t in tensors]
        native = shape[0]
        self.classes = math.prod(model.shape(outputs[0])) // native
        widest = max(
            sum(math.prod(model.shape(t)) for t in self._wanted),
            *(math.prod(model.shape(t)) for t in inputs),
        )
        batch = _BATCH
        while batch > 1 and batch * widest * 4 > _BATCH_BYTES * native:
            batch //= 2
        self._options: dict[str, Any] = {"num_threads": threads, "kernel": kernel, "lrn": lrn}
        for size in dict.fromkeys((native if native > 1 else batch, native)):
            self.batch = size
            try:
                self._start(model, inputs, None if size == native else size)
                if self._fits():
                    return
            except (RuntimeError, ValueError):
                if size == native:  # it is not the batch that the runtime refuses
                    raise
        raise ModelError(f"the outputs of {what} do not follow its batch of {native}")

    def _start(self, model: Model, inputs: list[int], batch: int | None) -> None:
        end = len(model.subgraph.operators)
        data = extract(model, inputs, self._wanted, 0, end, {}, batch=batch)
        self._interpreter = Interpreter(model_content=data, **self._options)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [d["index"] for d in self._interpreter.get_output_details()]

    def _fits(self) -> bool:
        """Whether every output has a row for each image."""
        zeros = np.zeros((self.batch, *self.input_shape[1:]), np.float32)
        outputs, responses = self(zeros)
        return outputs.shape == (self.batch, self.classes) and all(
            len(r) == self.batch for r in responses
        )

    def __call__(self, images: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        """Outputs of shape (n, classes), and the tapped tensors, for n <= `batch` images."""
        n = len(images)
        if n < self.batch:  # the last batch is filled up and cut again
            images = np.concatenate([images, np.repeat(images[-1:], self.batch - n, axis=0)])
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(images, np.float32))
        self._interpreter.invoke()
        values = [self._interpreter.get_tensor(t) for t in self._outputs]
        # Whatever its shape, a tensor of a single image is one row.
        rows = [v.reshape(self.batch, -1) if v.size % self.batch == 0 else v for v in values]
        return rows[0][:n], [rows[i][:n] for i in self._places]
