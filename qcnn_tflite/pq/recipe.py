"""What to learn for one layer, and how."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """What to learn for one layer, and how.

    Parameters
    ----------
    d, K : int
        Length and number of codewords. K is capped at the number of sub-vectors.
    codebooks : {"per_subspace", "shared", "per_group"}
    output_scale : bool
        Learn on rows of unit root mean square with a factor per output.
    codebook_dtype : {"float32", "float16", "int8"}
    gram_init : bool
        k-means in the metric of the inputs instead of the Euclidean one.
    sequential : bool
        Start from sequentially compensated codes instead of nearest codewords.
    sweeps : int
        Error-correction sweeps (codes, then codewords); 0 leaves the initial solution.
    dampings : tuple of float
        Candidates of λ relative to the mean of diag H; infinity is plain product quantization of
        the weights. Of several, the best one on held-out images is taken.
    response_scales : tuple of float
        Candidates of the power of the ratio of standard deviations that the output scale takes up:
        1 restores the spread of the float response, 0 leaves it. Of several, the best one by the
        network's output on held-out images is taken; the first, if there is no such judge.
    """

    d: int
    K: int
    codebooks: str = "per_subspace"
    output_scale: bool = False
    codebook_dtype: str = "float32"
    gram_init: bool = True
    sequential: bool = True
    sweeps: int = 3
    dampings: tuple[float, ...] = (0.01,)
    response_scales: tuple[float, ...] = (1.0,)
