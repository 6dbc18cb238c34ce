"""Adam (Kingma and Ba 2015) with steps relative to each parameter's own size, and averages of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .tensorflow import tensorflow

_BETA1, _BETA2 = 0.9, 0.99
_AVERAGED = 0.97


class RelativeAdam:
    """Moves a variable by about ``rate * size`` a step along its gradient.

    One absolute rate for all would wreck the codebooks of fully-connected layers, whose entries are
    a tenth of the others'.

    Parameters
    ----------
    variable : tf.Variable
    size : ndarray
        Broadcasts against the variable.

    Attributes
    ----------
    average : tf.Variable
        Of the variable over the last steps (Polyak and Juditsky 1992): most of the noise of single
        batches is gone from it.
    """

    def __init__(self, variable: Any, size: np.ndarray[Any, Any]) -> None:
        tf = tensorflow()
        self._variable = variable
        self._size = tf.constant(np.asarray(size, np.float32))
        self.first = tf.Variable(tf.zeros_like(variable), trainable=False)
        self.second = tf.Variable(tf.zeros_like(variable), trainable=False)
        self.average = tf.Variable(variable, trainable=False)

    def apply(self, gradient: Any, rate: Any, step: Any) -> None:
        """One step; `step` counts from 1."""
        tf = tensorflow()
        first = self.first.assign(_BETA1 * self.first + (1 - _BETA1) * gradient)
        second = self.second.assign(_BETA2 * self.second + (1 - _BETA2) * gradient * gradient)
        unbiased1 = first / (1 - tf.pow(_BETA1, step))
        unbiased2 = second / (1 - tf.pow(_BETA2, step))
        # Against division by zero only: gradients have any size, and the step's is relative.
        moved = self._variable.assign_sub(
            rate * self._size * unbiased1 / (tf.sqrt(unbiased2) + 1e-20)
        )
        kept = tf.minimum(_AVERAGED, (1 + step) / (10 + step))
        self.average.assign(kept * self.average + (1 - kept) * moved)
