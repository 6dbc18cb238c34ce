"""Judges a layer's new weights by what they do to the network's output."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..agreement import AgreementSum, are_probabilities
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
    """

    def __init__(self, model: Model, network: PairedNetwork) -> None:
        self._outputs = [int(t) for t in indices(model.subgraph.outputs)]
        self._network = network
        self._floats = network.rest(0, self._outputs)({})
        self._probabilities = (
            len(self._floats) == 1
            and self._floats[0].ndim == 2
            and are_probabilities(self._floats[0])
        )

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
            total = AgreementSum(probabilities=True)
            total.add(self._floats[0], outputs[0])
            return total.finish().kl
        error = power = 0.0
        for mine, other in zip(self._floats, outputs, strict=True):
            error += float(np.square(other - mine, dtype=np.float64).sum())
            power += float(np.square(mine, dtype=np.float64).sum())
        return error / max(power, 1e-30)


class LayerJudge:
    """Calls the network with one layer's weights exchanged; the layers after it are float."""

    def __init__(self, judge: OutputJudge, op: int, replaced: Replacements) -> None:
        self._judge = judge
        self._op = op
        self._replaced = dict(replaced)
        self._rest = judge._network.rest(op + 1, judge._outputs)

    def __call__(self, weights: FloatArray, bias: FloatArray | None) -> float:
        return self._judge.loss(self._rest({**self._replaced, self._op: (weights, bias)}))
