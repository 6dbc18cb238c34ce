"""The method: product quantization of weights with error correction (Q-CNN, Wu et al., CVPR 2016).

numpy, SciPy and scikit-learn only; nothing in here knows TensorFlow Lite.
"""

from __future__ import annotations

from .code import ProductCode
from .layout import BlockLayout
from .learn import LearnedLayer, Recipe, learn, learn_from_weights
from .statistics import ResponseStatistics, StatisticsBuilder

__all__ = [
    "BlockLayout",
    "LearnedLayer",
    "ProductCode",
    "Recipe",
    "ResponseStatistics",
    "StatisticsBuilder",
    "learn",
    "learn_from_weights",
]
