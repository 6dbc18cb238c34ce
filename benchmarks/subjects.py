"""The networks that are measured, with random weights and random images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qcnn_tflite.errors import ModelError
from qcnn_tflite.models import registry
from qcnn_tflite.models.assemble import assemble
from qcnn_tflite.models.networks import ALEXNET, Dense, Network, Norm
from qcnn_tflite.models.weights import WeightArrays, random_weights

DEFAULT = ("alexnet", "alexnet_fc", "cnn_s", "vgg16")
# What fc6 of AlexNet reads: the pooled response of conv5.
_FC_INPUT = (6, 6, 256)


@dataclass(frozen=True)
class Subject:
    """A network with He-normal weights.

    Parameters
    ----------
    name : str
    network : Network
    weights : WeightArrays
        May hold more layers than `network` has.
    """

    name: str
    network: Network
    weights: WeightArrays

    @property
    def has_lrn(self) -> bool:
        return any(isinstance(step, Norm) for step in self.network.layers)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (1, *self.network.input_shape)

    def float_model(self) -> bytes:
        """The float `.tflite`."""
        return assemble(self.network, self.weights, name=self.name, metadata={"model": self.name})

    def images(self, count: int, seed: int = 0) -> Iterator[NDArray[np.float32]]:
        """Random inputs, one at a time: pixels about their mean, or features after a ReLU."""
        random = np.random.default_rng(seed)
        features = isinstance(self.network.layers[0], Dense)
        for _ in range(count):
            if features:
                yield np.maximum(random.standard_normal(self.input_shape, np.float32), 0)
            else:
                pixels = random.integers(0, 256, self.input_shape)
                yield (pixels - 127.5).astype(np.float32)


def subject(name: str, seed: int = 0) -> Subject:
    """A network by its name.

    Parameters
    ----------
    name : str
        Of a named model of the package, or ``"alexnet_fc"``: fc6, fc7 and fc8 of AlexNet alone,
        with the weights that they have in ``"alexnet"``.
    seed : int

    Raises
    ------
    ModelError
        If there is none of that name.
    """
    if name == "alexnet_fc":
        layers = tuple(step for step in ALEXNET.layers if isinstance(step, Dense))
        network = replace(ALEXNET, input_shape=_FC_INPUT, layers=layers)
        return Subject(name, network, random_weights(ALEXNET, seed))
    try:
        network = registry.get(name).network
    except ModelError as error:
        raise ModelError(f"{error}, alexnet_fc") from None
    return Subject(name, network, random_weights(network, seed))
