"""Judges a layer's new weights by what they do to the network's output."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..agreement import Agreement, AgreementSum, are_probabilities
from ..errors import ModelError
from ..graph import Model
from ..graph.model import indices
from .network import PairedNetwork, Replacements

FloatArray = NDArray[np.float32]


class OutputJudge:
    """Loss of the outputs of a partly quantized network against those of the float network.

    For a classifier that ends in a softmax the Kullback-Leibler divergence, else the relative squared
    error of the outputs.

    Parameters
    ----------
    model : Model
        Float; with a single input.
    network : PairedNetwork
        Of the same model, on images that are held out: nothing is fitted to them.

    Attributes
    ----------
    classifies : bool
        Whether the only output has one row of class scores an image.
    """

    def __init__(self, model: Model, network: PairedNetwork) -> None:
        self._outputs = [int(t) for t in indices(model.subgraph.outputs)]
        self._network = network
        self._floats = network.rest(0, self._outputs)({})
        only = self._floats[0]
        self.classifies = (
            len(self._floats) == 1 and len(only) == network.count and only[0].size == only.shape[-1]
        )
        self._probabilities = self.classifies and are_probabilities(_rows(only))

    def before(self, first: int, op: int, replaced: Replacements) -> LayerJudge:
        """A judge of the layer at operator `op`, whose input is there before operator `first`.

        Parameters
        ----------
        first, op : int
            They differ where padding is an operator of its own.
        replaced : mapping
            Layers learned so far.
        """
        self._network.advance(first, replaced)
        return LayerJudge(self, op, replaced)

    def loss(self, outputs: list[FloatArray]) -> float:
        """Loss of the network's outputs on all images."""
        if self._probabilities:
            return self.agreement(outputs).kl
        error = power = 0.0
        for mine, other in zip(self._floats, outputs, strict=True):
            error += float(np.square(other - mine, dtype=np.float64).sum())
            power += float(np.square(mine, dtype=np.float64).sum())
        return error / max(power, 1e-30)

    def agreement(self, outputs: list[FloatArray]) -> Agreement:
        """Agreement of a classifier's outputs with those of the float network, on all images.

        Raises
        ------
        ModelError
            If the network is no classifier.
        """
        if not self.classifies:
            raise ModelError(
                "expected a classifier with one output and one row of class scores an image, got "
                f"{len(self._floats)} outputs, the first of shape {self._floats[0].shape} for "
                f"{self._network.count} images"
            )
        total = AgreementSum(probabilities=self._probabilities)
        total.add(_rows(self._floats[0]), _rows(outputs[0]))
        return total.finish()


class LayerJudge:
    """Calls the network with one layer's weights exchanged; the layers after it are float."""

    def __init__(self, judge: OutputJudge, op: int, replaced: Replacements) -> None:
        self._judge = judge
        self._op = op
        self._replaced = dict(replaced)
        self._rest = judge._network.rest(op + 1, judge._outputs)

    def __call__(self, weights: FloatArray, bias: FloatArray | None) -> float:
        return self._judge.loss(self._run(weights, bias))

    def agreement(self, weights: FloatArray, bias: FloatArray | None) -> Agreement:
        """As `OutputJudge.agreement`."""
        return self._judge.agreement(self._run(weights, bias))

    def _run(self, weights: FloatArray, bias: FloatArray | None) -> list[FloatArray]:
        return self._rest({**self._replaced, self._op: (weights, bias)})


def _rows(outputs: FloatArray) -> FloatArray:
    return outputs.reshape(len(outputs), -1)
