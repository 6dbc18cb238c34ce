"""Learning one layer: codebooks and codes, the output scale and the bias."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .choice import Choice, NetworkLoss, choose_method, choose_scale
from .code import ProductCode
from .fitting import fit, plain
from .layout import BlockLayout, FloatArray
from .recipe import Recipe
from .response import refit_bias, spread_ratio
from .statistics import ResponseStatistics


@dataclass(frozen=True)
class LearnedLayer:
    """A layer as the op contract wants it.

    Parameters
    ----------
    codebooks : ndarray of shape (m, K, d)
        float32, float16 or int8.
    codebook_scales : ndarray of shape (m,) or None
        For int8 codebooks.
    codes : ndarray of shape (M, C_out, kH, kW), uint8
    scale : ndarray of shape (C_out,) or None
    bias : ndarray of shape (C_out,) or None
    weights : ndarray of shape (C_out, kH, kW, in_channels)
        Decoded, scale applied.
    choice : Choice or None
        What was chosen on the held-out images; None without calibration images.
    error : float or None
        Squared response error on held-out images relative to the power of the response.
    """

    codebooks: NDArray[np.generic]
    codebook_scales: FloatArray | None
    codes: NDArray[np.uint8]
    scale: FloatArray | None
    bias: FloatArray | None
    weights: FloatArray
    choice: Choice | None = None
    error: float | None = None


def learn(
    weights: FloatArray,
    bias: FloatArray | None,
    layout: BlockLayout,
    recipe: Recipe,
    train: ResponseStatistics,
    held_out: ResponseStatistics | None = None,
    *,
    network_loss: NetworkLoss | None = None,
    random_state: int = 0,
    jobs: int | None = None,
) -> LearnedLayer:
    """Learn a layer from its weights and the statistics of its responses.

    Parameters
    ----------
    weights : ndarray of shape (C_out, kH, kW, in_channels)
    bias : ndarray of shape (C_out,) or None
    layout : BlockLayout
    recipe : Recipe
    train, held_out : ResponseStatistics
        Disjoint images; `held_out` measures the error, and chooses if there is no `network_loss`.
    network_loss : callable, optional
        The loss of the whole network's output on held-out images, given weights like `weights` and
        a bias for this layer. A smaller error of the layer can make a worse network, so this judges
        where it can be had.
    random_state : int
    jobs : int or None
        Workers for the k-means.

    Returns
    -------
    LearnedLayer
    """
    matrices = layout.split(weights)
    pool = [train] if held_out is None else [train, held_out]
    choice = choose_method(
        matrices, bias, layout, recipe, pool, network_loss, random_state=random_state, jobs=jobs
    )
    code = fit(
        matrices,
        layout,
        recipe,
        train,
        choice.damping,
        random_state,
        jobs,
        corrected=choice.corrected,
    )
    code.codebooks = round_codebooks(code.codebooks, recipe.codebook_dtype)[0]
    decoded = code.matrices()
    power = choose_scale(decoded, bias, layout, recipe.response_scales, pool, network_loss)
    if power:
        code.scale *= spread_ratio(pool, decoded) ** np.float32(power)
        decoded = code.matrices()
    layer = _finish(
        code, recipe, refit_bias(pool, decoded, bias), recipe.output_scale or power != 0
    )
    return replace(
        layer,
        choice=replace(choice, response_scale=power),
        error=pool[-1].relative_error(decoded),
    )


def learn_from_weights(
    weights: FloatArray,
    bias: FloatArray | None,
    layout: BlockLayout,
    recipe: Recipe,
    *,
    random_state: int = 0,
    jobs: int | None = None,
) -> LearnedLayer:
    """Plain product quantization of the weights; for want of calibration images.

    Parameters and result as for `learn`. Each output's weights keep their norm, the closest thing
    to a spread that can be restored without images.
    """
    matrices = layout.split(weights)
    code = plain(matrices, layout, recipe, random_state, jobs)
    code.codebooks = round_codebooks(code.codebooks, recipe.codebook_dtype)[0]
    power = recipe.response_scales[0]
    if power:
        for g in range(layout.groups):
            before = np.linalg.norm(matrices[g], axis=0)
            after = np.linalg.norm(code.decode(g), axis=0)
            alive = (before > 0) & (after > 0)
            ratio = np.clip(before[alive] / after[alive], 0.25, 4.0)
            code.scale[g, alive] *= ratio ** np.float32(power)
    return _finish(code, recipe, bias, recipe.output_scale or power != 0)


def round_codebooks(
    codebooks: FloatArray, dtype: str
) -> tuple[FloatArray, NDArray[np.generic], FloatArray | None]:
    """Round codebooks to what the file can hold.

    Returns
    -------
    values : ndarray of shape (m, K, d), float32
        What a kernel will decode.
    stored : ndarray of shape (m, K, d)
    scales : ndarray of shape (m,) or None
        For int8: value = scale * stored.
    """
    if dtype == "float16":
        stored = np.clip(codebooks, -65504, 65504).astype(np.float16)
        return stored.astype(np.float32), stored, None
    if dtype == "int8":
        scales = np.abs(codebooks).max(axis=(1, 2)) / np.float32(127)
        scales[scales < np.finfo(np.float32).tiny] = 1
        integers = np.rint(codebooks / scales[:, None, None]).astype(np.int8)
        return integers * scales[:, None, None], integers, scales
    return codebooks, codebooks, None


def _finish(
    code: ProductCode, recipe: Recipe, bias: FloatArray | None, scaled: bool
) -> LearnedLayer:
    values, stored, scales = round_codebooks(code.codebooks, recipe.codebook_dtype)
    code.codebooks = values
    return LearnedLayer(
        codebooks=stored,
        codebook_scales=scales,
        codes=code.contract_codes(),
        scale=code.scale.reshape(-1) if scaled else None,
        bias=bias,
        weights=code.weights(),
    )
