"""Teacher and student side by side: losses, gradients, and one step of training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..agreement import Agreement, AgreementSum
from ..graph import Layer, Model, QuantizedLayer, has_own_constants
from .adam import RelativeAdam
from .function import GraphFunction, logits
from .latent import LatentBlocks
from .moments import InputMoments
from .settings import DistillSettings
from .student import FloatStudent, QuantizedStudent
from .tensorflow import tensorflow

FloatArray = NDArray[np.float32]
# Kinds of layers whose float weights are trained.
_TRAINED = ("conv", "conv1x1", "fc", "depthwise")


class DistilledNetwork:
    """The float network as teacher, the quantized one as student.

    Parameters
    ----------
    model : Model
        Float.
    layers : list of Layer
        All of the model's.
    quantized : mapping of layer name to QuantizedLayer
    settings : DistillSettings
    sample : ndarray of shape (n, ...)
        Images whose responses set the sizes of biases and the metric of codes.
    """

    def __init__(
        self,
        model: Model,
        layers: list[Layer],
        quantized: Mapping[str, QuantizedLayer],
        settings: DistillSettings,
        sample: Iterable[FloatArray],
    ) -> None:
        tf = tensorflow()
        self._settings = settings
        self._logits = logits(model)
        inner = [layer for layer in layers if layer.name in quantized]
        self._inner = [layer.output for layer in inner if layer.output != self._logits]
        self._function = GraphFunction(model, [self._logits, *self._inner])
        trained = [
            layer for layer in layers
            if layer.name in quantized or (layer.kind in _TRAINED and has_own_constants(model, layer))
        ]  # fmt: skip
        moments = InputMoments(model, trained, quantized)
        for batch in sample:
            moments.add(batch)
        self.quantized: dict[str, QuantizedStudent] = {}
        self.floats: dict[str, FloatStudent] = {}
        self.latents: dict[str, LatentBlocks] = {}
        for layer in trained:
            response = moments.response(layer)
            if layer.name not in quantized:
                self.floats[layer.name] = FloatStudent(model, layer, response)
                continue
            shape = model.shape(layer.weights)
            student = QuantizedStudent(layer, quantized[layer.name], shape, response)
            self.quantized[layer.name] = student
            if settings.reassign_every and layer.weight_count <= settings.latent_limit:
                self.latents[layer.name] = LatentBlocks(student, moments.metric(layer))
        self._rates = {
            "codebook": settings.codebook_rate,
            "scale": settings.scale_rate,
            "bias": settings.bias_rate,
            "weights": settings.weights_rate,
        }
        students: list[QuantizedStudent | FloatStudent] = [
            *self.quantized.values(),
            *self.floats.values(),
        ]
        self._parameters = [p for s in students for p in s.parameters]
        self._adams = [RelativeAdam(p.variable, p.size) for p in self._parameters]
        self.step = tf.Variable(0.0, trainable=False)
        self.train = tf.function(self._train, autograph=False, reduce_retracing=True)
        self._teacher_logits = tf.function(
            lambda images: self._function(images)[self._logits], autograph=False
        )
        self._student_logits = tf.function(
            lambda images, layers: self._function(images, layers)[self._logits], autograph=False
        )

    def _layers(self) -> tuple[dict[int, tuple[Any, Any]], dict[str, Any]]:
        """Constants by operator, and the blocks of codewords that they were made of."""
        blocks = {name: s.blocks() for name, s in self.quantized.items()}
        layers = {
            s.layer.op_index: (s.weights(blocks[name]), s.bias)
            for name, s in self.quantized.items()
        }
        layers.update({s.layer.op_index: (s.kernel, s.bias) for s in self.floats.values()})
        return layers, blocks

    def _train(self, images: Any, decay: Any) -> tuple[Any, Any]:
        """One step; returns KL divergence and mean relative error of the inner responses."""
        tf = tensorflow()
        target = self._function(images)
        variables = [p.variable for p in self._parameters]
        with tf.GradientTape() as tape:
            layers, blocks = self._layers()
            found = self._function(images, layers)
            kl = tf.reduce_mean(divergence(target[self._logits], found[self._logits]))
            errors = [
                tf.reduce_sum(tf.square(found[t] - target[t]))
                / (tf.reduce_sum(tf.square(target[t])) + 1e-20)
                for t in self._inner
            ]
            error = tf.add_n(errors) / len(errors) if errors else tf.constant(0.0)
            loss = kl + self._settings.response_weight * error
        sources = [*variables, *(blocks[name] for name in self.latents)]
        gradients = tape.gradient(loss, sources, unconnected_gradients="zero")
        step = self.step.assign_add(1.0)
        for p, adam, gradient in zip(self._parameters, self._adams, gradients, strict=False):
            adam.apply(tf.convert_to_tensor(gradient), decay * self._rates[p.kind], step)
        for latent, gradient in zip(
            self.latents.values(), gradients[len(variables) :], strict=True
        ):
            rate = decay * self._settings.latent_rate
            latent.adam.apply(tf.convert_to_tensor(gradient), rate, step)
        return kl, error

    def reassign(self) -> int:
        """Nearest codes to the latent weights; returns how many changed."""
        return sum(latent.reassign() for latent in self.latents.values())

    def judge(self, batches: Iterable[FloatArray], targets: FloatArray) -> Agreement:
        """How far the outputs agree with the teacher's, with the constants as they are now.

        Codebooks as the file will hold them, see `averaged` for the rest.

        Parameters
        ----------
        batches : iterable of ndarray
        targets : ndarray of shape (n, classes)
            The teacher's outputs on them, from `teach`.
        """
        tf = tensorflow()
        exact = {name: s.words.numpy() for name, s in self.quantized.items()}
        for s in self.quantized.values():
            s.words.assign(s.stored_words())
        try:
            layers, _ = self._layers()
            layers = {i: (tf.convert_to_tensor(w), b) for i, (w, b) in layers.items()}
            found = _rows([self._student_logits(b, layers) for b in batches])
        finally:
            for name, words in exact.items():
                self.quantized[name].words.assign(words)
        total = AgreementSum(probabilities=False)
        total.add(targets, found)
        return total.finish()

    def teach(self, batches: Iterable[FloatArray]) -> FloatArray:
        """The teacher's logits, shape (n, classes); a sigmoid's beside a zero."""
        return _rows([self._teacher_logits(b) for b in batches])

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """With every variable at its average over the last steps."""
        kept = [p.variable.numpy() for p in self._parameters]
        for p, adam in zip(self._parameters, self._adams, strict=True):
            p.variable.assign(adam.average)
        try:
            yield
        finally:
            for p, value in zip(self._parameters, kept, strict=True):
                p.variable.assign(value)

    def constants(self) -> dict[str, QuantizedLayer]:
        return {name: s.constants() for name, s in self.quantized.items()}

    def float_constants(self) -> dict[str, tuple[FloatArray, FloatArray | None]]:
        return {name: s.constants() for name, s in self.floats.items()}

    def variables(self) -> dict[str, Any]:
        """Everything that training goes on from, by name; codes apart."""
        found = {"step": self.step}
        for i, (p, adam) in enumerate(zip(self._parameters, self._adams, strict=True)):
            found[f"p{i}"], found[f"a{i}"] = p.variable, adam.average
            found[f"f{i}"], found[f"s{i}"] = adam.first, adam.second
        for i, latent in enumerate(self.latents.values()):
            found[f"latent{i}"] = latent.blocks
            found[f"latent-f{i}"], found[f"latent-s{i}"] = latent.adam.first, latent.adam.second
        return found


def divergence(target: Any, found: Any) -> Any:
    """KL(target ‖ found) of the softmax of two sets of logits, along the last axis."""
    tf = tensorflow()
    p, q = tf.nn.log_softmax(_classes(target)), tf.nn.log_softmax(_classes(found))
    return tf.reduce_sum(tf.exp(p) * (p - q), axis=-1)


def _classes(values: Any) -> Any:
    """Logits of a softmax; a single logit is that of a sigmoid, a softmax with a zero beside it."""
    tf = tensorflow()
    if values.shape[-1] != 1:
        return values
    return tf.concat([tf.zeros_like(values), values], axis=-1)


def _rows(batches: list[Any]) -> FloatArray:
    values = np.concatenate([_classes(batch).numpy() for batch in batches])
    return values.reshape(-1, values.shape[-1])
