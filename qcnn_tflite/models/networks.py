"""What the named networks are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Conv:
    """A convolution with zero padding `pad` on every side, and ReLU.

    Parameters
    ----------
    name : str
    filters, kernel : int
    stride, pad, groups : int
    """

    name: str
    filters: int
    kernel: int
    stride: int = 1
    pad: int = 0
    groups: int = 1


@dataclass(frozen=True)
class Norm:
    """Local response normalization across channels, in Caffe's terms: x·(k + α/n·Σx²)^-β.

    Parameters
    ----------
    size : int
        n, the channels that are summed.
    alpha, beta, k : float
    """

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0


@dataclass(frozen=True)
class Pool:
    """Max pooling.

    Parameters
    ----------
    size, stride : int
    ceil : bool
        Caffe's rule: a last window that begins inside the image counts, whatever lies beyond it.
    """

    size: int = 3
    stride: int = 2
    ceil: bool = False


@dataclass(frozen=True)
class Dense:
    """A fully-connected layer on the HWC-flattened input; ReLU on all but the last.

    Parameters
    ----------
    name : str
    units : int
        0 for the number of classes.
    """

    name: str
    units: int = 0


@dataclass(frozen=True)
class Network:
    """A chain of layers that ends in a softmax.

    Parameters
    ----------
    input_shape : tuple of int
        (H, W, C).
    layers : tuple
    classes : int
    """

    input_shape: tuple[int, int, int]
    layers: tuple[Conv | Norm | Pool | Dense, ...]
    classes: int = 1000

    def with_classes(self, classes: int) -> Network:
        return replace(self, classes=classes)

    @property
    def last(self) -> str:
        """Name of the layer whose units are the classes."""
        return next(s.name for s in reversed(self.layers) if isinstance(s, Dense))

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Kernel shape of every layer that has one: HWIO (I of one group), or (in, out)."""
        height, width, channels = self.input_shape
        shapes: dict[str, tuple[int, ...]] = {}
        features = 0
        for step in self.layers:
            if isinstance(step, Conv):
                shapes[step.name] = (
                    step.kernel, step.kernel, channels // step.groups, step.filters,
                )  # fmt: skip
                height, width = (
                    (n + 2 * step.pad - step.kernel) // step.stride + 1 for n in (height, width)
                )
                channels = step.filters
            elif isinstance(step, Pool):
                height, width = (pooled_size(n, step) for n in (height, width))
            elif isinstance(step, Dense):
                features = features or height * width * channels
                shapes[step.name] = (features, step.units or self.classes)
                features = step.units
        return shapes


def pooled_size(size: int, pool: Pool) -> int:
    """Rows (or columns) that pooling makes of `size`."""
    if not pool.ceil:
        return (size - pool.size) // pool.stride + 1
    count = math.ceil((size - pool.size) / pool.stride) + 1
    return count if (count - 1) * pool.stride < size else count - 1


def _fully_connected(*units: int) -> tuple[Dense, ...]:
    return tuple(Dense(f"fc{6 + i}", n) for i, n in enumerate((*units, 0)))


_CEIL = Pool(ceil=True)

# Each pad and group as published; design of every network: its paper and its Caffe definition.
ALEXNET = Network(
    (227, 227, 3),
    (
        Conv("conv1", 96, 11, 4), Norm(), _CEIL,
        Conv("conv2", 256, 5, pad=2, groups=2), Norm(), _CEIL,
        Conv("conv3", 384, 3, pad=1),
        Conv("conv4", 384, 3, pad=1, groups=2),
        Conv("conv5", 256, 3, pad=1, groups=2), _CEIL,
        *_fully_connected(4096, 4096),
    ),
)  # fmt: skip

CAFFENET = Network(
    (227, 227, 3),
    (
        Conv("conv1", 96, 11, 4), _CEIL, Norm(),
        Conv("conv2", 256, 5, pad=2, groups=2), _CEIL, Norm(),
        Conv("conv3", 384, 3, pad=1),
        Conv("conv4", 384, 3, pad=1, groups=2),
        Conv("conv5", 256, 3, pad=1, groups=2), _CEIL,
        *_fully_connected(4096, 4096),
    ),
)  # fmt: skip

CNN_S = Network(
    (224, 224, 3),
    (
        Conv("conv1", 96, 7, 2), Norm(alpha=5e-4, k=2.0), Pool(3, 3, ceil=True),
        Conv("conv2", 256, 5, pad=1), Pool(2, 2, ceil=True),
        Conv("conv3", 512, 3, pad=1),
        Conv("conv4", 512, 3, pad=1),
        Conv("conv5", 512, 3, pad=1), Pool(3, 3, ceil=True),
        *_fully_connected(4096, 4096),
    ),
)  # fmt: skip


def _vgg_block(number: int, filters: int, convolutions: int) -> tuple[Conv | Pool, ...]:
    names = (f"conv{number}_{i + 1}" for i in range(convolutions))
    return (*(Conv(name, filters, 3, pad=1) for name in names), Pool(2, 2))


VGG16 = Network(
    (224, 224, 3),
    (
        *_vgg_block(1, 64, 2),
        *_vgg_block(2, 128, 2),
        *_vgg_block(3, 256, 3),
        *_vgg_block(4, 512, 3),
        *_vgg_block(5, 512, 3),
        *_fully_connected(4096, 4096),
    ),
)

ALEXNET_OWT = Network(
    (224, 224, 3),
    (
        Conv("conv1", 64, 11, 4, pad=2), Pool(),
        Conv("conv2", 192, 5, pad=2), Pool(),
        Conv("conv3", 384, 3, pad=1),
        Conv("conv4", 256, 3, pad=1),
        Conv("conv5", 256, 3, pad=1), Pool(),
        *_fully_connected(4096, 4096),
    ),
)  # fmt: skip

# AlexNet's shape at the size of Fashion-MNIST: most weights sit in fc7, as they do in AlexNet's FC
# layers; conv4 and conv5 have two groups.
FASHION_ALEXNET = Network(
    (28, 28, 1),
    (
        Conv("conv1", 24, 5, pad=2), Pool(2, 2),
        Conv("conv2", 48, 5, pad=2), Pool(2, 2),
        Conv("conv3", 96, 3, pad=1),
        Conv("conv4", 96, 3, pad=1, groups=2),
        Conv("conv5", 32, 3, pad=1, groups=2), Pool(3, 2),
        *_fully_connected(1024, 1536),
    ),
    classes=10,
)  # fmt: skip
