"""The numbers of distillation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DistillSettings:
    """How the student is trained; chosen on held-out images, see docs/learning.md.

    Parameters
    ----------
    batch : int
        Images a step.
    codebook_rate, scale_rate, bias_rate, weights_rate, latent_rate : float
        Largest step of Adam relative to the parameter's own size: the root mean square of a codebook,
        of the scales or of a filter; for biases that of the layer's response.
    response_weight : float
        Of the mean relative squared error of the inner responses, beside the KL divergence.
    reassign_every : int
        Steps between two assignments of codes; 0 keeps the codes, which did best.
    reassign_until : float
        Fraction of the steps after which codes stay.
    latent_limit : int
        Weights of the largest layer whose codes move: its latent weights take twelve bytes each.
    held_out : float
        Fraction of the images that choose the best state, at most `held_out_limit`.
    held_out_limit : int
    evaluations : int
        Of the held-out images, in each pass.
    patience : int
        Passes without a better state after which training ends.
    """

    batch: int = 64
    codebook_rate: float = 0.001
    scale_rate: float = 0.0005
    bias_rate: float = 0.0003
    weights_rate: float = 0.0003
    latent_rate: float = 0.003
    response_weight: float = 0.3
    reassign_every: int = 0
    reassign_until: float = 0.8
    latent_limit: int = 8_000_000
    held_out: float = 0.1
    held_out_limit: int = 500
    evaluations: int = 1
    patience: int = 3
