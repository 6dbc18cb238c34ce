"""Constants of the kernels, read from their sources: benchmarks that count what a plan does use them."""

from __future__ import annotations

import re
from pathlib import Path

_SCALES = Path(__file__).resolve().parents[1] / "custom_ops" / "core" / "table_scale.h"


def chunk_weights() -> list[float]:
    """Of convolutions, of those with large kernels, of 1x1 ones: `cost_geometry.Target` has them so.

    Raises
    ------
    SystemExit
        If the sources name them otherwise.
    """
    text = _SCALES.read_text(encoding="utf-8")
    weights = []
    for name in ("kConvChunkWeight", "kLargeKernelChunkWeight", "kPointwiseChunkWeight"):
        found = re.search(rf"{name} = ([\d.]+);", text)
        if found is None:
            raise SystemExit(f"{_SCALES} has no {name}")
        weights.append(float(found[1]))
    return weights
