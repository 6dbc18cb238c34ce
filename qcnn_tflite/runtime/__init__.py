"""Runs converted models in stock TensorFlow Lite interpreters."""

from __future__ import annotations

from .interpreter import Interpreter, load_delegate
from .library import library_path, selected_kernel

__all__ = ["Interpreter", "library_path", "load_delegate", "selected_kernel"]
