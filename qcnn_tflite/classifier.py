"""A classifier's file, ready to answer images: float, quantized or integer."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calibration.preprocessing import Preprocessing
from .errors import ModelError
from .graph import Model, read_mean_image, read_metadata, read_model
from .machine import cpu_count
from .runtime import Interpreter
from .runtime.tensors import as_float, as_input

FloatArray = NDArray[np.float32]
# A model: its file or its bytes.
ModelSource = str | os.PathLike[str] | bytes


class Classifier:
    """A model with one image input and one output of class scores, run in batches.

    Integer models are given quantized images and answer in decoded scores, as their tensors say.

    Parameters
    ----------
    source : path or bytes
    preprocessing : Preprocessing or None
        None takes what the model's metadata declare.
    threads : int or None
        None: all processors.
    kernel, lrn
        As for `qcnn_tflite.Interpreter`.

    Attributes
    ----------
    preprocessing : Preprocessing
    metadata : dict
    input_shape : tuple of int
        (N, H, W, C).
    classes : int

    Raises
    ------
    ModelError
        If it is no such model, or does not say how images are prepared for it.
    """

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
        self._input, self._output = inputs[0], outputs[0]
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
            applied = all(is_distribution(scores) for scores in outputs)
        return outputs if applied else np.stack([softmax(scores) for scores in outputs])

    def _resize(self, count: int) -> None:
        index, shape = self._input["index"], [count, *self.input_shape[1:]]
        self._interpreter.resize_tensor_input(index, shape)
        self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(index, np.zeros(shape, self._input["dtype"]))
        self._interpreter.invoke()
        if self._interpreter.get_tensor(self._output["index"]).size != count * self.classes:
            raise ValueError("the output does not follow the batch")
        self._batch = count

    def _run(self, batch: FloatArray) -> FloatArray:
        self._interpreter.set_tensor(self._input["index"], as_input(batch, self._input))
        self._interpreter.invoke()
        output = as_float(self._interpreter.get_tensor(self._output["index"]), self._output)
        return output.reshape(len(batch), self.classes)


def is_distribution(scores: FloatArray) -> bool:
    return bool(scores.min() >= 0 and abs(float(scores.sum()) - 1) < 1e-3)


def softmax(scores: FloatArray) -> FloatArray:
    powers: FloatArray = np.exp(scores - scores.max())
    return powers / powers.sum()
