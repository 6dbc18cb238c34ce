"""Converted models with random constants: one layer of every kind, and a network of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from graph_builders import OPS, Graph, ModelBuilder, random_constants, schema, weights

from qcnn_tflite.graph import decoded_float_model, find_layers, read_model, rewrite

CODE_BITS = {1: 2, 2: 3, 3: 5, 4: 11, 5: 32, 6: 50, 7: 100, 8: 256}


@dataclass(frozen=True)
class Conv:
    """A convolution, perhaps behind a PAD, of an input (1, H, W, C)."""

    size: tuple[int, int] = (9, 8)
    channels: int = 6
    outputs: int = 10
    kernel: tuple[int, int] = (3, 3)
    groups: int = 1
    pads: tuple[int, int, int, int] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (1, *self.size, self.channels)

    def add(self, g: Graph) -> None:
        x = y = g.tensor("x", self.input_shape)
        height, width = self.size
        if self.pads is not None:
            top, bottom, left, right = self.pads
            y = g.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]])
            height, width = height + top + bottom, width + left + right
        shape = (self.outputs, *self.kernel, self.channels // self.groups)
        w = g.tensor("w", data=weights(shape))
        bias = g.tensor("b", data=weights((self.outputs,), 1))
        out = [
            -(-n // s) if self.options.get("padding") == "SAME" else (n - (k - 1) * d - 1) // s + 1
            for n, k, s, d in zip(
                (height, width),
                self.kernel,
                self.options.get("stride", (1, 1)),
                self.options.get("dilation", (1, 1)),
                strict=True,
            )
        ]
        g.ends([x], [g.conv(y, w, bias, (1, *out, self.outputs), **self.options)])


@dataclass(frozen=True)
class Fc:
    """A fully-connected layer."""

    input_shape: tuple[int, ...] = (1, 14)
    channels: int = 14
    outputs: int = 9
    with_bias: bool = True
    options: dict[str, Any] = field(default_factory=dict)

    def add(self, g: Graph) -> None:
        x = g.tensor("x", self.input_shape)
        w = g.tensor("w", data=weights((self.outputs, self.channels)))
        bias = g.tensor("b", data=weights((self.outputs,), 1)) if self.with_bias else None
        if self.options.get("keep_num_dims"):
            out: Sequence[int] = (*self.input_shape[:-1], self.outputs)
        else:
            out = (int(np.prod(self.input_shape)) // self.channels, self.outputs)
        g.ends([x], [g.fc(x, w, bias, out, **self.options)])


@dataclass(frozen=True)
class Pool:
    """MAX_POOL_2D, perhaps behind a PAD of top, bottom, left, right."""

    window: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (2, 2)
    padding: str = "VALID"
    pads: tuple[int, int, int, int] | None = None
    pads_type: str = "int32"
    channel_pad: int = 0
    activation: int = 0

    def add(self, g: Graph, x: int) -> int:
        if self.pads is not None:
            top, bottom, left, right = self.pads
            pads = [[0, 0], [top, bottom], [left, right], [0, self.channel_pad]]
            x = g.pad(x, pads, self.pads_type, "padded")
        n, height, width, channels = map(int, g.subgraph.tensors[x].shape)
        options = schema.Pool2DOptionsT()
        options.padding = {"SAME": 0, "VALID": 1}[self.padding]
        options.filterHeight, options.filterWidth = self.window
        options.strideH, options.strideW = self.stride
        options.fusedActivationFunction = self.activation
        out = [
            -(-size // s) if self.padding == "SAME" else (size - k) // s + 1
            for size, k, s in zip((height, width), self.window, self.stride, strict=True)
        ]
        y = g.tensor("pooled", (n, *out, channels))
        g.op(OPS.MAX_POOL_2D, [x], [y], options)
        return y


def normalize(
    g: Graph, x: int, shape: tuple[int, ...], radius: int, bias: float, alpha: float, beta: float
) -> int:
    options = schema.LocalResponseNormalizationOptionsT()
    options.radius, options.bias, options.alpha, options.beta = radius, bias, alpha, beta
    y = g.tensor("norm", shape)
    g.op(OPS.LOCAL_RESPONSE_NORMALIZATION, [x], [y], options)
    return y


def convert(add: Callable[[Graph], None], signature: bool = False, **constants: Any) -> bytes:
    """A model whose layers all have random codebooks and codes (see `random_constants`)."""
    builder = ModelBuilder()
    g = builder.graph()
    add(g)
    if signature:
        subgraph = g.subgraph
        builder.signature("serve", {"x": subgraph.inputs[0]}, {"y": subgraph.outputs[0]})
    model = read_model(builder.bytes())
    layers = find_layers(model)
    assert layers and not any(layer.ineligible for layer in layers)
    quantized = {
        layer.name: random_constants(layer, seed=i, **constants) for i, layer in enumerate(layers)
    }
    return rewrite(model, quantized)


def add_pooling(g: Graph) -> None:
    """A convolution with its pooling, then a normalization with a PAD and its pooling."""
    x = g.tensor("x", (1, 8, 9, 6))
    w = g.tensor("w", data=weights((10, 3, 3, 6)))
    y = g.conv(x, w, None, (1, 8, 9, 10), padding="SAME", activation=1)
    y = Pool(padding="SAME").add(g, y)
    y = normalize(g, y, (1, 4, 5, 10), 2, 1.0, 0.1, 0.75)
    g.ends([x], [Pool((3, 3), (2, 2), pads=(0, 1, 1, 0)).add(g, y)])


def add_network(g: Graph) -> None:
    """Q layers next to each other, and among builtin ones: a residual, pooling, a flattened tail."""
    x = g.tensor("x", (1, 8, 8, 3))
    a = g.conv(
        x,
        g.tensor("conv1/w", data=weights((8, 3, 3, 3))),
        g.tensor("conv1/b", data=weights((8,), 1)),
        (1, 8, 8, 8),
        "conv1",
        padding="SAME",
        activation=1,
    )
    b = g.conv(a, g.tensor("conv2/w", data=weights((8, 3, 3, 4))), None, (1, 8, 8, 8), "conv2",
               padding="SAME")  # fmt: skip
    added = g.tensor("added", (1, 8, 8, 8))
    g.op(OPS.ADD, [a, b], [added], schema.AddOptionsT())
    pooled = g.tensor("pooled", (1, 4, 4, 8))
    pool = schema.Pool2DOptionsT()
    pool.padding, pool.strideH, pool.strideW, pool.filterHeight, pool.filterWidth = 1, 2, 2, 2, 2
    g.op(OPS.MAX_POOL_2D, [added], [pooled], pool)
    hidden = g.fc(
        pooled,
        g.tensor("fc1/w", data=weights((20, 128))),
        g.tensor("fc1/b", data=weights((20,), 1)),
        (1, 20),
        "fc1",
        activation=1,
    )
    g.ends([x], [g.fc(hidden, g.tensor("fc2/w", data=weights((5, 20))), None, (1, 5), "fc2")])


@cache
def network() -> bytes:
    return convert(add_network, signature=True, d=4, K=16, scale=True)


@cache
def network_twin() -> bytes:
    return decoded_float_model(network())


def inputs(shape: Sequence[int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
