"""What the named networks are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

# A convolution's padding by TensorFlow's rule.
SAME = -1


@dataclass(frozen=True)
class Conv:
    """A convolution, and its activation.

    Parameters
    ----------
    name : str
    filters, kernel : int
    stride, groups : int
    pad : int
        Zeros on every side; `SAME` for TensorFlow's rule, whose odd row and column come last.
    activation : {"relu", "relu6", "none"}
    input : str
        Name of the convolution or addition that it reads, or "pool1" for the first pooling;
        default: the step before.
    """

    name: str
    filters: int
    kernel: int
    stride: int = 1
    pad: int = 0
    groups: int = 1
    activation: str = "relu"
    input: str = ""


@dataclass(frozen=True)
class Depthwise:
    """A depthwise convolution, padded by TensorFlow's rule SAME, and ReLU6.

    Parameters
    ----------
    name : str
    kernel : int
    stride : int
    """

    name: str
    kernel: int
    stride: int = 1


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
    """Max pooling of what has passed a ReLU.

    Parameters
    ----------
    size, stride : int
    ceil : bool
        Caffe's rule: a last window that begins inside the image counts, whatever lies beyond it.
    pad : int
        On every side.
    """

    size: int = 3
    stride: int = 2
    ceil: bool = False
    pad: int = 0


@dataclass(frozen=True)
class GlobalPool:
    """The average over all positions."""


@dataclass(frozen=True)
class Add:
    """The sum of the step before and another one.

    Parameters
    ----------
    name : str
    other : str
        Name of a convolution or an addition.
    activation : {"relu", "none"}
    """

    name: str
    other: str
    activation: str = "none"


@dataclass(frozen=True)
class Dense:
    """A fully-connected layer on the flattened input; ReLU on all but the last.

    Parameters
    ----------
    name : str
    units : int
        0 for the number of classes.
    """

    name: str
    units: int = 0


Step = Conv | Depthwise | Norm | Pool | GlobalPool | Add | Dense


@dataclass(frozen=True)
class Network:
    """Layers one after another, with shortcuts between them, and a softmax.

    Parameters
    ----------
    input_shape : tuple of int
        (H, W, C).
    layers : tuple
    classes : int
    norm_epsilon : float
        Added to the variance where weights come with batch normalization, which is folded.
    flatten : {"HWC", "CHW"}
        Order in which the first fully-connected layer reads an image; the weights are in it, too.
    """

    input_shape: tuple[int, int, int]
    layers: tuple[Step, ...]
    classes: int = 1000
    norm_epsilon: float = 1e-3
    flatten: str = "HWC"

    def with_classes(self, classes: int) -> Network:
        return replace(self, classes=classes)

    @property
    def last(self) -> str:
        """Name of the layer whose units are the classes."""
        return next(s.name for s in reversed(self.layers) if isinstance(s, Dense))

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Kernel shape of every layer that has one, in order.

        HWIO (I of one group), HWC1 of a depthwise convolution, or (in, out).
        """
        shapes: dict[str, tuple[int, ...]] = {}
        for step, shape, _ in self.trace():
            if isinstance(step, Conv):
                shapes[step.name] = (
                    step.kernel, step.kernel, shape[2] // step.groups, step.filters,
                )  # fmt: skip
            elif isinstance(step, Depthwise):
                shapes[step.name] = (step.kernel, step.kernel, shape[2], 1)
            elif isinstance(step, Dense):
                shapes[step.name] = (math.prod(shape), step.units or self.classes)
        return shapes

    def parameters(self) -> int:
        """Weights and biases."""
        depthwise = {s.name for s in self.layers if isinstance(s, Depthwise)}
        return sum(
            math.prod(shape) + shape[2 if name in depthwise else -1]
            for name, shape in self.weight_shapes().items()
        )

    def trace(self) -> Iterator[tuple[Step, tuple[int, ...], tuple[int, ...]]]:
        """Every step with the shapes of its input and its output, (H, W, C) or (C,)."""
        shape: tuple[int, ...] = self.input_shape
        named: dict[str, tuple[int, ...]] = {}
        pools = 0
        for step in self.layers:
            if isinstance(step, Conv) and step.input:
                shape = named[step.input]
            output = self._output_shape(step, shape)
            yield step, shape, output
            shape = output
            if isinstance(step, (Conv, Add)):
                named[step.name] = shape
            elif isinstance(step, Pool):
                pools += 1
                named[f"pool{pools}"] = shape

    def _output_shape(self, step: Step, shape: tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(step, Dense):
            return (step.units or self.classes,)
        if isinstance(step, GlobalPool):
            return shape[-1:]
        if isinstance(step, Depthwise):
            return (*(-(-n // step.stride) for n in shape[:2]), shape[2])
        if isinstance(step, Conv):
            if step.pad == SAME:
                return (*(-(-n // step.stride) for n in shape[:2]), step.filters)
            sides = ((n + 2 * step.pad - step.kernel) // step.stride + 1 for n in shape[:2])
            return (*sides, step.filters)
        if isinstance(step, Pool):
            return (*(pooled_size(n, step) for n in shape[:2]), shape[2])
        return shape


def pooled_size(size: int, pool: Pool) -> int:
    """Rows (or columns) that pooling makes of `size`."""
    size += 2 * pool.pad
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


def _bottleneck(name: str, filters: int, before: str, stride: int = 0) -> tuple[Conv | Add, ...]:
    """A residual block of ResNet; with a stride its shortcut is a convolution."""
    branches: tuple[Conv, ...] = (
        Conv(f"res{name}_branch2a", filters, 1, stride or 1, input=before),
        Conv(f"res{name}_branch2b", filters, 3, pad=1),
        Conv(f"res{name}_branch2c", 4 * filters, 1, activation="none"),
    )
    other = before
    if stride:
        # Last, so that the sum finds it at the end of the chain.
        branches += (
            Conv(f"res{name}_branch1", 4 * filters, 1, stride, activation="none", input=before),
        )
        other = f"res{name}_branch2c"
    return (*branches, Add(f"res{name}", other, activation="relu"))


def _resnet50() -> tuple[Step, ...]:
    steps: list[Step] = [Conv("conv1", 64, 7, 2, pad=3), Pool(pad=1)]
    before = "pool1"
    for stage, (filters, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 2):
        for block in "abcdef"[:blocks]:
            # The first convolution of a stage has the stride: version 1, as published.
            stride = 0 if block != "a" else 1 if stage == 2 else 2
            steps += _bottleneck(f"{stage}{block}", filters, before, stride)
            before = f"res{stage}{block}"
    return (*steps, GlobalPool(), Dense("fc1000"))


# He et al. 2016; layer names as in their Caffe definition and in Keras.
RESNET50 = Network((224, 224, 3), _resnet50())


def _mobilenet_v1() -> tuple[Step, ...]:
    steps: list[Step] = [Conv("conv0", 32, 3, 2, pad=SAME, activation="relu6")]
    filters = (64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)
    for i, count in enumerate(filters, 1):
        steps += [
            Depthwise(f"conv{i}_depthwise", 3, 2 if i in (2, 4, 6, 12) else 1),
            Conv(f"conv{i}_pointwise", count, 1, activation="relu6"),
        ]
    return (*steps, GlobalPool(), Dense("fc"))


# Howard et al. 2017; class 0 is the background.
MOBILENET_V1 = Network((224, 224, 3), _mobilenet_v1(), classes=1001)

# Outputs, kernel, stride, expansion and number of EfficientNet-B0's blocks.
_EFFICIENTNET = (
    (16, 3, 1, 1, 1), (24, 3, 2, 6, 2), (40, 5, 2, 6, 2), (80, 3, 2, 6, 3),
    (112, 5, 1, 6, 3), (192, 5, 2, 6, 4), (320, 3, 1, 6, 1),
)  # fmt: skip


def _efficientnet_lite0() -> tuple[Step, ...]:
    steps: list[Step] = [Conv("stem", 32, 3, 2, pad=SAME, activation="relu6")]
    depth, number, before = 32, 0, ""
    for filters, kernel, stride, expansion, count in _EFFICIENTNET:
        for i in range(count):
            name = f"block{number}"
            if expansion > 1:
                steps.append(Conv(f"{name}_expand", depth * expansion, 1, activation="relu6"))
            steps += [
                Depthwise(f"{name}_depthwise", kernel, stride if i == 0 else 1),
                Conv(f"{name}_project", filters, 1, activation="none"),
            ]
            if i:
                steps.append(Add(name, before))
            before = name if i else f"{name}_project"
            depth, number = filters, number + 1
    return (
        *steps, Conv("head", 1280, 1, activation="relu6"), GlobalPool(), Dense("fc"),
    )  # fmt: skip


# Tan and Le 2019, without squeeze-and-excitation and with ReLU6: the variant for mobile devices.
EFFICIENTNET_LITE0 = Network((224, 224, 3), _efficientnet_lite0())
