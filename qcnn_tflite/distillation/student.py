"""What distillation trains: a layer's constants as TensorFlow variables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..graph import Layer, Model, QuantizedLayer, layer_bias, layer_weights
from ..pq.learn import round_codebooks
from .tensorflow import tensorflow

FloatArray = NDArray[np.float32]


@dataclass
class Parameter:
    """A variable that is trained, and the size that its learning rate is relative to.

    Parameters
    ----------
    kind : {"codebook", "bias", "scale", "weights"}
    variable : tf.Variable
    size : ndarray
        Broadcasts against the variable: one step of Adam moves an entry by about rate * size.
    """

    kind: str
    variable: Any
    size: FloatArray


class QuantizedStudent:
    """A product-quantized layer: codewords, scale and bias as variables, codes fixed between rounds.

    Parameters
    ----------
    layer : Layer
    q : QuantizedLayer
    weight_shape : tuple of int
        Of the graph's weights tensor.
    response : float
        Root mean square of the float layer's response, before its activation or after.
    """

    def __init__(
        self, layer: Layer, q: QuantizedLayer, weight_shape: tuple[int, ...], response: float
    ) -> None:
        tf = tensorflow()
        self.layer = layer
        self._q = q
        self._weight_shape = weight_shape
        self.codes = q.codes
        books = q.float_codebooks()
        self.books_shape = books.shape
        self.words = tf.Variable(books.reshape(-1, q.d))
        self.index = tf.Variable(self._index(), trainable=False)
        size = np.sqrt(np.square(books).mean(axis=(1, 2)))
        size = np.maximum(size, 1e-3 * size.max(initial=1e-30))
        self.block_size = size[self.owner]  # of the codebook that each block uses
        self.parameters = [Parameter("codebook", self.words, np.repeat(size, q.K)[:, None])]
        self.scale = self.bias = None
        if q.scale is not None:
            self.scale = tf.Variable(q.scale)
            self.parameters.append(Parameter("scale", self.scale, _rms(q.scale)))
        if q.bias is not None:
            self.bias = tf.Variable(q.bias)
            self.parameters.append(
                Parameter("bias", self.bias, np.asarray(max(response, 1e-30), np.float32))
            )

    @property
    def owner(self) -> NDArray[np.int32]:
        """Codebook of each output's subspaces, shape (C_out, M)."""
        layer, M, count = self.layer, self._q.M, self.books_shape[0]
        group = np.arange(layer.out_channels) // (layer.out_channels // layer.groups)
        found = group[:, None] * M + np.arange(M)
        return (found % count if count in (1, M) else found).astype(np.int32)

    def _index(self) -> NDArray[np.int32]:
        """Row in `words` of each block, shape (C_out, kH, kW, M)."""
        offsets = (self.owner * self._q.K)[:, None, None, :]
        return offsets + np.moveaxis(self.codes, 0, -1).astype(np.int32)

    def assign(self, codes: NDArray[np.uint8]) -> None:
        """Take other codes, shape (M, C_out, kH, kW)."""
        self.codes = codes
        self.index.assign(self._index())

    def blocks(self) -> Any:
        """Every block's codeword, shape (C_out, kH, kW, M, d)."""
        return tensorflow().gather(self.words, self.index)

    def weights(self, blocks: Any) -> Any:
        """The weights in the graph's shape, of blocks as `blocks` returns them."""
        tf = tensorflow()
        outputs, height, width, M, d = (int(n) for n in blocks.shape)
        depth = self.layer.in_channels // self.layer.groups
        w = tf.reshape(blocks, (outputs, height, width, M * d))[..., :depth]
        if self.scale is not None:
            w *= self.scale[:, None, None, None]
        return tf.reshape(w, self._weight_shape)

    def stored_words(self) -> FloatArray:
        """The codewords as the file will have them, shape (m * K, d)."""
        books = self.words.numpy().reshape(self.books_shape)
        values, _, _ = round_codebooks(books, str(self._q.codebooks.dtype))
        return values.reshape(-1, self._q.d)

    def constants(self) -> QuantizedLayer:
        """What goes into the file: rounded as the layer's codebooks were before."""
        books = self.words.numpy().reshape(self.books_shape)
        _, stored, scales = round_codebooks(books, str(self._q.codebooks.dtype))
        return replace(
            self._q,
            codebooks=stored,
            codes=np.array(self.codes),
            bias=None if self.bias is None else self.bias.numpy(),
            scale=None if self.scale is None else self.scale.numpy(),
            codebook_scales=scales,
        )


class FloatStudent:
    """A layer that stays float: its weights and bias as variables.

    Parameters
    ----------
    model : Model
    layer : Layer
    response : float
        As for `QuantizedStudent`.
    """

    def __init__(self, model: Model, layer: Layer, response: float) -> None:
        tf = tensorflow()
        self.layer = layer
        shape = model.shape(layer.weights)
        weights = layer_weights(model, layer).reshape(shape)
        bias = layer_bias(model, layer)
        self.kernel = tf.Variable(weights)
        self.bias = None if bias is None else tf.Variable(bias)
        # Of each output: a depthwise layer's filters differ in size by orders of magnitude.
        axes = (
            tuple(range(len(shape) - 1))
            if layer.kind == "depthwise"
            else tuple(range(1, len(shape)))
        )
        size = np.sqrt(np.square(weights).mean(axis=axes, keepdims=True))
        self.parameters = [Parameter("weights", self.kernel, np.maximum(size, 1e-30))]
        if self.bias is not None:
            self.parameters.append(
                Parameter("bias", self.bias, np.asarray(max(response, 1e-30), np.float32))
            )

    def constants(self) -> tuple[FloatArray, FloatArray | None]:
        return self.kernel.numpy(), None if self.bias is None else self.bias.numpy()


def _rms(values: FloatArray) -> FloatArray:
    return np.asarray(max(float(np.sqrt(np.square(values).mean())), 1e-30), np.float32)
