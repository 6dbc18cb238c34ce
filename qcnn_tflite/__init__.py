"""Product-quantized networks for TensorFlow Lite: convert, run, measure.

Names are resolved when they are first used, so that importing the package is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .api import ConversionResult, convert
    from .benchmarking import BenchmarkResult, benchmark
    from .calibration.preprocessing import Preprocessing
    from .classification import classify
    from .comparison import Comparison, compare
    from .config import Config, LayerConfig, LearningConfig
    from .errors import (
        ConfigError,
        DataError,
        ModelError,
        OutputError,
        OutputExistsError,
        QcnnError,
        RuntimeMissingError,
    )
    from .evaluation import Evaluation, evaluate
    from .inspection import Inspection, inspect
    from .report import ConversionReport
    from .runtime import Interpreter, library_path, load_delegate

_MODULES = {
    "api": ("ConversionResult", "convert"),
    "benchmarking": ("BenchmarkResult", "benchmark"),
    "calibration.preprocessing": ("Preprocessing",),
    "classification": ("classify",),
    "comparison": ("Comparison", "compare"),
    "config": ("Config", "LayerConfig", "LearningConfig"),
    "errors": (
        "ConfigError",
        "DataError",
        "ModelError",
        "OutputError",
        "OutputExistsError",
        "QcnnError",
        "RuntimeMissingError",
    ),
    "evaluation": ("Evaluation", "evaluate"),
    "inspection": ("Inspection", "inspect"),
    "report": ("ConversionReport",),
    "runtime": ("Interpreter", "library_path", "load_delegate"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "BenchmarkResult",
    "Comparison",
    "Config",
    "ConfigError",
    "ConversionReport",
    "ConversionResult",
    "DataError",
    "Evaluation",
    "Inspection",
    "Interpreter",
    "LayerConfig",
    "LearningConfig",
    "ModelError",
    "OutputError",
    "OutputExistsError",
    "Preprocessing",
    "QcnnError",
    "RuntimeMissingError",
    "benchmark",
    "classify",
    "compare",
    "convert",
    "evaluate",
    "inspect",
    "library_path",
    "load_delegate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
