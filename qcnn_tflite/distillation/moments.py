"""Second moments of the layers' inputs and sizes of their responses, in the float network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..graph import Layer, Model, QuantizedLayer
from .function import GraphFunction
from .tensorflow import tensorflow

FloatArray = NDArray[np.float32]


class InputMoments:
    """Sizes of the layers' responses and second moments of their inputs, in the float network.

    Parameters
    ----------
    model : Model
    layers : list of Layer
    quantized : mapping of layer name to QuantizedLayer
        Layers whose moments are wanted, for the length of their subspaces.
    """

    def __init__(
        self, model: Model, layers: list[Layer], quantized: Mapping[str, QuantizedLayer]
    ) -> None:
        tf = tensorflow()
        tensors = sorted({t for layer in layers for t in (layer.input, layer.output)})
        self._function = GraphFunction(model, tensors)
        self._run = tf.function(self._sums, autograph=False)
        self._layers = layers
        self._quantized = quantized
        self._squares: dict[str, float] = {}
        self._counts: dict[str, float] = {}
        self._moments: dict[str, NDArray[np.float64]] = {}

    def _sums(self, images: Any) -> dict[str, tuple[Any, Any]]:
        tf = tensorflow()
        values = self._function(images)
        found = {}
        for layer in self._layers:
            moments = tf.zeros(())
            if layer.name in self._quantized:
                q = self._quantized[layer.name]
                x = tf.reshape(
                    values[layer.input], (-1, layer.groups, layer.in_channels // layer.groups)
                )
                missing = q.M * q.d - layer.in_channels // layer.groups
                x = tf.pad(x, ((0, 0), (0, 0), (0, missing)))
                x = tf.reshape(x, (-1, q.M, q.d))
                x = tf.transpose(x, (1, 2, 0))
                moments = tf.matmul(x, x, transpose_b=True)
            found[layer.name] = (tf.reduce_mean(tf.square(values[layer.output])), moments)
        return found

    def add(self, images: FloatArray) -> None:
        for name, (square, moments) in self._run(images).items():
            n = len(images)
            self._squares[name] = self._squares.get(name, 0.0) + n * float(square)
            self._counts[name] = self._counts.get(name, 0.0) + n
            self._moments[name] = self._moments.get(name, 0.0) + moments.numpy().astype(np.float64)

    def response(self, layer: Layer) -> float:
        """Root mean square of the layer's response."""
        return float(np.sqrt(self._squares[layer.name] / self._counts[layer.name]))

    def metric(self, layer: Layer) -> NDArray[np.float64]:
        """Shape (M, d, d)."""
        return self._moments[layer.name]
