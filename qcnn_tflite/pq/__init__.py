"""The method: product quantization of weights with error correction (Q-CNN, Wu et al., CVPR 2016).

numpy, SciPy and scikit-learn only; nothing in here knows TensorFlow Lite.
"""

from __future__ import annotations

from .choice import Choice
from .code import ProductCode
from .layout import BlockLayout
from .learn import LearnedLayer, learn, learn_from_weights
from .recipe import Recipe
from .statistics import ResponseStatistics, StatisticsBuilder

__all__ = [
    "BlockLayout",
    "Choice",
    "LearnedLayer",
    "ProductCode",
    "Recipe",
    "ResponseStatistics",
    "StatisticsBuilder",
    "learn",
    "learn_from_weights",
]
