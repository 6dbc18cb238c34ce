"""The response must not shrink: a factor per output that restores its spread, a bias its mean."""

from __future__ import annotations

import numpy as np

from .layout import FloatArray
from .statistics import ResponseStatistics

# A response that all but vanished cannot be restored by a factor; beyond this it would be noise.
_MAX_RATIO = 4.0


def spread_ratio(statistics: list[ResponseStatistics], weights: FloatArray) -> FloatArray:
    """Standard deviation of the float response over that of the quantized one.

    Parameters
    ----------
    statistics : list of ResponseStatistics
        Samples of several sets (training and held-out images) are pooled.
    weights : ndarray of shape (groups, rows, group_outputs)
        Decoded weights.

    Returns
    -------
    ndarray of shape (groups, group_outputs)
        1 where either response is constant; at most 4.
    """
    ratio = np.ones((weights.shape[0], weights.shape[2]), np.float32)
    for g, w in enumerate(weights):
        power = np.sum([s.second_moments(g, w)[0] for s in statistics], axis=0)
        wanted = np.sum([s.target_power[g] for s in statistics], axis=0)
        alive = (power > 0) & (wanted > 0)
        ratio[g, alive] = np.sqrt(wanted[alive] / power[alive])
    return np.clip(ratio, 1 / _MAX_RATIO, _MAX_RATIO)


def refit_bias(
    statistics: list[ResponseStatistics], weights: FloatArray, bias: FloatArray | None
) -> FloatArray:
    """The bias that gives every output the mean of its float response.

    Parameters
    ----------
    statistics : list of ResponseStatistics
        Target means are those of responses without a bias.
    weights : ndarray of shape (groups, rows, group_outputs)
        Decoded weights, scale applied.
    bias : ndarray of shape (C_out,) or None
        The float layer's.

    Returns
    -------
    ndarray of shape (C_out,)
    """
    shares = np.array([s.count for s in statistics], np.float64)
    shares /= shares.sum()
    inputs = sum(
        w * s.input_mean.astype(np.float64) for w, s in zip(shares, statistics, strict=True)
    )
    target = sum(
        w * s.target_mean.astype(np.float64) for w, s in zip(shares, statistics, strict=True)
    )
    response = np.einsum("gr,gro->go", inputs, weights)
    shift = (target - response).ravel()
    return (shift if bias is None else shift + bias).astype(np.float32)
