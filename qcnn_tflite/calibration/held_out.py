"""Which calibration images are kept apart from learning, to judge it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def held_out_mask(count: int, fraction: float, seed: int) -> NDArray[np.bool_]:
    """True for the images that only judge: at least one, at most half; none of a single image."""
    chosen = np.zeros(count, np.bool_)
    if fraction and count > 1:
        number = min(max(1, round(fraction * count)), count // 2)
        chosen[np.random.default_rng(seed).permutation(count)[:number]] = True
    return chosen
