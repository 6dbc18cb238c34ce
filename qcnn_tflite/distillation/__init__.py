"""Distillation without labels: the quantized network is tuned to the float one's outputs."""

from __future__ import annotations

from .settings import DistillSettings
from .tensorflow import tensorflow
from .train import Distilled, distill

__all__ = ["DistillSettings", "Distilled", "distill", "tensorflow"]
