"""Choosing how a layer is learned: by the network's output on held-out images, or by its own error."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .code import ProductCode
from .fitting import correct, objectives_of, plain, start
from .layout import BlockLayout, FloatArray
from .recipe import Recipe
from .response import refit_bias, spread_ratio
from .statistics import ResponseStatistics

# Outputs of a layer on which methods are compared.
_PILOT_OUTPUTS = 512

# (weights of shape (C_out, kH, kW, in_channels), bias or None) -> loss of the network's output.
NetworkLoss = Callable[[FloatArray, FloatArray | None], float]


@dataclass(frozen=True)
class Choice:
    """How a layer is learned.

    Parameters
    ----------
    damping : float
        λ relative to the mean of diag H; infinity: plain product quantization of the weights.
    corrected : bool
        Whether error correction follows the k-means.
    response_scale : float
        Power of the ratio of standard deviations in the output scale.
    """

    damping: float
    corrected: bool = True
    response_scale: float = 0.0

    def __str__(self) -> str:
        if math.isinf(self.damping):
            method = "plain"
        else:
            method = "error correction" if self.corrected else "input-weighted"
            method += f", damping {self.damping:g}"
        return f"{method}, spread^{self.response_scale:g}" if self.response_scale else method


def choose_method(
    matrices: FloatArray,
    bias: FloatArray | None,
    layout: BlockLayout,
    recipe: Recipe,
    pool: list[ResponseStatistics],
    network_loss: NetworkLoss | None,
    *,
    random_state: int,
    jobs: int | None,
) -> Choice:
    """Plain, input-weighted or error-corrected codes, and the damping.

    They are tried on a sample of the outputs, the other outputs left float: how much error
    correction overfits depends on the inputs and the number of samples, which all outputs share, so
    a few hundred of them tell as much as all, in a fraction of the time.

    Parameters
    ----------
    matrices : ndarray of shape (groups, rows, group_outputs)
        The float weights.
    bias : ndarray of shape (C_out,) or None
    layout, recipe
    pool : list of ResponseStatistics
        Training images first; the last one judges if there is no `network_loss`.
    network_loss : callable or None
    random_state : int
    jobs : int or None
    """
    if len(recipe.dampings) == 1:
        return Choice(recipe.dampings[0], corrected=not math.isinf(recipe.dampings[0]))
    count = min(layout.group_outputs, max(1, _PILOT_OUTPUTS // layout.groups))
    rng = np.random.default_rng(random_state)
    columns = np.sort(rng.choice(layout.group_outputs, count, replace=False))
    pilot = replace(layout, out_channels=count * layout.groups)
    quick = replace(recipe, sequential=False, sweeps=min(2, recipe.sweeps))
    sampled = [statistics.of_outputs(columns) for statistics in pool]
    weights = matrices[:, :, columns]
    best, least = Choice(recipe.dampings[0]), math.inf
    for choice, code in _methods(weights, pilot, quick, sampled[0], random_state, jobs):
        decoded = code.matrices()
        if network_loss is None:
            loss = sampled[-1].relative_error(decoded)
        else:
            tried, tried_bias = _response_kept(
                decoded, _part(bias, layout, columns), recipe.response_scales[0], sampled
            )
            loss = network_loss(*_inserted(matrices, bias, layout, columns, tried, tried_bias))
        if loss < least:
            best, least = choice, loss
    return best


def choose_scale(
    decoded: FloatArray,
    bias: FloatArray | None,
    layout: BlockLayout,
    powers: tuple[float, ...],
    pool: list[ResponseStatistics],
    network_loss: NetworkLoss | None,
) -> float:
    """The power of the spread's ratio, of those given, that serves the network best.

    Parameters
    ----------
    decoded : ndarray of shape (groups, rows, group_outputs)
        Weights without that scale.
    bias : ndarray of shape (C_out,) or None
    layout : BlockLayout
    powers : tuple of float
        The first is the answer if there is no `network_loss`.
    pool : list of ResponseStatistics
    network_loss : callable or None
    """
    if network_loss is None or len(powers) == 1:
        return powers[0]
    losses = []
    for power in powers:
        weights, refitted = _response_kept(decoded, bias, power, pool)
        losses.append(network_loss(layout.join(weights), refitted))
    return powers[int(np.argmin(losses))]


def _methods(
    weights: FloatArray,
    layout: BlockLayout,
    recipe: Recipe,
    train: ResponseStatistics,
    random_state: int,
    jobs: int | None,
) -> Iterator[tuple[Choice, ProductCode]]:
    """Every method with the codes it gives; one k-means serves all finite dampings."""
    first: ProductCode | None = None
    for damping in recipe.dampings:
        if math.isinf(damping):
            yield (
                Choice(damping, corrected=False),
                plain(weights, layout, recipe, random_state, jobs),
            )
            continue
        objectives = objectives_of(train, weights, damping)
        if first is None:
            first = start(objectives, weights, layout, recipe, random_state, jobs)
            if recipe.gram_init:
                yield Choice(damping, corrected=False), first
        code = copy.deepcopy(first)
        correct(objectives, code, recipe)
        yield Choice(damping), code


def _response_kept(
    decoded: FloatArray,
    bias: FloatArray | None,
    power: float,
    pool: list[ResponseStatistics],
) -> tuple[FloatArray, FloatArray]:
    """Weights and bias that give the response its spread, to a power, and its mean back."""
    if power:
        decoded = decoded * (spread_ratio(pool, decoded) ** np.float32(power))[:, None]
    return decoded, refit_bias(pool, decoded, bias)


def _part(
    bias: FloatArray | None, layout: BlockLayout, columns: NDArray[np.int64]
) -> FloatArray | None:
    if bias is None:
        return None
    return bias.reshape(layout.groups, layout.group_outputs)[:, columns].ravel()


def _inserted(
    matrices: FloatArray,
    bias: FloatArray | None,
    layout: BlockLayout,
    columns: NDArray[np.int64],
    weights: FloatArray,
    new_bias: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The whole layer's weights (as the graph has them) and bias, some outputs exchanged."""
    whole = matrices.copy()
    whole[:, :, columns] = weights
    biases = np.zeros((layout.groups, layout.group_outputs), np.float32)
    if bias is not None:
        biases[:] = bias.reshape(biases.shape)
    biases[:, columns] = new_bias.reshape(layout.groups, -1)
    return layout.join(whole), biases.ravel()
