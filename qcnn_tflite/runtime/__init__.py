"""Runs converted models in stock TensorFlow Lite interpreters."""

from __future__ import annotations

from .interpreter import Interpreter, load_delegate
from .library import kernels, library_path, memory_usage, selected_kernel

__all__ = [
    "Interpreter",
    "kernels",
    "library_path",
    "load_delegate",
    "memory_usage",
    "selected_kernel",
]
