"""Finds an installed TensorFlow Lite interpreter."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import RuntimeMissingError

# Module that holds `Interpreter` and `load_delegate`, in order of preference.
BACKENDS = {
    "ai_edge_litert": "ai_edge_litert.interpreter",
    "tensorflow": "tensorflow.lite",
    "tflite_runtime": "tflite_runtime.interpreter",
}


def find_backend(name: str | None = None) -> tuple[str, Any]:
    """An importable backend.

    Parameters
    ----------
    name : {"ai_edge_litert", "tensorflow", "tflite_runtime"}, optional
        Default: the first that is installed. Hyphens are as good as underscores.

    Returns
    -------
    name : str
    module : module
        With `Interpreter` and `load_delegate`.

    Raises
    ------
    RuntimeMissingError
        If it is not installed, or none is.
    """
    name = name and name.replace("-", "_")
    if name is not None and name not in BACKENDS:
        raise RuntimeMissingError(
            f"there is no backend {name!r}; choose one of {', '.join(BACKENDS)}"
        )
    failures = []
    for candidate in [name] if name else BACKENDS:
        try:
            if candidate == "tensorflow":
                # tensorflow.lite is lazy: it resolves only through the package itself.
                module = importlib.import_module("tensorflow").lite
                delegate = module.experimental.load_delegate
                return candidate, _Module(module.Interpreter, delegate)
            return candidate, importlib.import_module(BACKENDS[candidate])
        except ImportError as error:
            failures.append(f"{candidate}: {error}")
    raise RuntimeMissingError(
        f"no TensorFlow Lite interpreter can be imported ({'; '.join(failures)}); "
        "install one: pip install ai-edge-litert"
    )


class _Module:
    """The two names of a backend that keeps them in different modules."""

    def __init__(self, interpreter: Any, load_delegate: Any) -> None:
        self.Interpreter = interpreter
        self.load_delegate = load_delegate


def float_interpreter(model: bytes, threads: int) -> Any:
    """A stock interpreter for a model without custom ops."""
    _, module = find_backend()
    return module.Interpreter(model_content=model, num_threads=threads)
