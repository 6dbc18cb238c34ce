"""Chooses the setting of every layer within a budget of size, speed or accuracy."""

from __future__ import annotations

from .conversion import convert_within
from .request import Budget

__all__ = ["Budget", "convert_within"]
