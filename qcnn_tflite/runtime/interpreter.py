"""`Interpreter`: a stock TensorFlow Lite interpreter that knows QConv and QFC."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, ModelError, RuntimeMissingError
from .backend import find_backend
from .library import library_path

_Path = str | os.PathLike[str]


def load_delegate(kernel: str = "auto", backend: str | None = None, *, lrn: bool = True) -> Any:
    """The delegate that runs QConv, QFC and LRN, for people who keep their own interpreter.

    Parameters
    ----------
    kernel : str
        ``"auto"``: the fastest on this machine; ``"reference"``: plain float arithmetic.
    backend : {"ai_edge_litert", "tensorflow", "tflite_runtime"}, optional
        Whose interpreter it is for; default: the first that is installed.
    lrn : bool
        Run local response normalizations of float32 too. TensorFlow Lite's own op gives the same
        answer, but calls ``pow`` for every value.

    Returns
    -------
    Delegate
        Of the backend. Goes into its `Interpreter(experimental_delegates=[...])`, which keeps it
        alive.

    Raises
    ------
    RuntimeMissingError
        If no backend or no native library is installed, or they do not fit together.
    ConfigError
        If there is no such kernel.
    """
    name, module = find_backend(backend)
    return _delegate(name, module, kernel, lrn)


def _delegate(name: str, module: Any, kernel: str, lrn: bool) -> Any:
    path = library_path()
    try:
        # The backend's own loader leaves a half-made object behind when this fails.
        ctypes.CDLL(str(path))
    except OSError as error:
        raise RuntimeMissingError(
            f"{path} cannot be loaded ({error}); build it for this machine: "
            "pip install --force-reinstall --no-deps ."
        ) from error
    try:
        return module.load_delegate(
            str(path), options={"kernel": str(kernel), **({} if lrn else {"lrn": "0"})}
        )
    except ValueError as error:
        # Its first line repeats the path, the others are ours.
        raise ConfigError(str(error).partition("\n")[2].strip() or str(error)) from error
    except (AttributeError, OSError, RuntimeError) as error:
        raise RuntimeMissingError(
            f"{name} cannot load delegates ({error}); install another version: pip install -U "
            f"{name.replace('_', '-')}"
        ) from error


class Interpreter:
    """TensorFlow Lite's interpreter, with QConv and QFC.

    It has every method of the backend's own `Interpreter`, so code written for that one runs; those
    not listed here are passed on. Models without our ops run as well.

    Parameters
    ----------
    model_path : str or path, optional
    model_content : bytes, optional
        One of the two.
    num_threads : int, optional
        Default: one, as the backend.
    kernel : str
        See `load_delegate`.
    backend : {"ai_edge_litert", "tensorflow", "tflite_runtime"}, optional
        Default: the first that is installed.
    lrn : bool
        See `load_delegate`.
    **kwargs
        Further arguments of the backend's `Interpreter`. `experimental_delegates` are applied after
        ours.

    Raises
    ------
    ModelError
        If the file does not exist or is no model. Layers are checked by `allocate_tensors`.
    RuntimeMissingError
        If no backend or no native library is installed.
    ConfigError
        If there is no such kernel.

    Examples
    --------
    >>> interpreter = Interpreter("net-q.tflite", num_threads=4)  # doctest: +SKIP
    >>> interpreter.allocate_tensors()  # doctest: +SKIP
    """

    def __init__(
        self,
        model_path: _Path | None = None,
        model_content: bytes | None = None,
        *,
        num_threads: int | None = None,
        kernel: str = "auto",
        backend: str | None = None,
        lrn: bool = True,
        experimental_delegates: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if (model_path is None) == (model_content is None):
            raise ValueError("expected a model_path or a model_content, one of the two")
        if num_threads is not None and num_threads < 1:
            raise ValueError(f"expected a num_threads of at least 1, got {num_threads}")
        source = _checked_source(model_path, model_content)
        name, module = find_backend(backend)
        delegates = [_delegate(name, module, kernel, lrn), *(experimental_delegates or ())]
        what = "the model" if model_path is None else os.fspath(model_path)
        with _model_errors(what), warnings.catch_warnings():
            # TensorFlow's announces its removal. Whoever has no other cannot help it.
            warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated")
            # The stock interpreter holds the delegates and lets go of them after its own insides.
            self._stock = module.Interpreter(
                **source, num_threads=num_threads, experimental_delegates=delegates, **kwargs
            )
        self._what = what

    def __getattr__(self, name: str) -> Any:
        if name == "_stock":  # __init__ raised
            raise AttributeError(name)
        return getattr(self._stock, name)

    def allocate_tensors(self) -> None:
        """Plan memory; call it after construction and after every `resize_tensor_input`.

        Raises
        ------
        ModelError
            If a QConv, QFC or LRN breaks its contract or does not fit its input, or if the backend
            does not know an op or refuses it.
        """
        with _model_errors(self._what):
            self._stock.allocate_tensors()

    def invoke(self) -> None:
        """Run the model on what `set_tensor` was given.

        Raises
        ------
        ModelError
            If an op fails.
        """
        with _model_errors(self._what):
            self._stock.invoke()

    def get_input_details(self) -> list[dict[str, Any]]:
        """Name, index, shape, shape_signature, dtype and quantization of each input."""
        details: list[dict[str, Any]] = self._stock.get_input_details()
        return details

    def get_output_details(self) -> list[dict[str, Any]]:
        """The same of each output."""
        details: list[dict[str, Any]] = self._stock.get_output_details()
        return details

    def resize_tensor_input(
        self, input_index: int, tensor_size: Sequence[int] | NDArray[Any], strict: bool = False
    ) -> None:
        """Change an input's shape, for another batch, say; then call `allocate_tensors`."""
        self._stock.resize_tensor_input(input_index, tensor_size, strict)

    def set_tensor(self, tensor_index: int, value: NDArray[Any]) -> None:
        """Copy an array into an input."""
        self._stock.set_tensor(tensor_index, value)

    def get_tensor(self, tensor_index: int, *args: Any, **kwargs: Any) -> NDArray[Any]:
        """A copy of a tensor."""
        return np.asarray(self._stock.get_tensor(tensor_index, *args, **kwargs))

    def tensor(self, tensor_index: int) -> Callable[[], NDArray[Any]]:
        """A function that gives a view of a tensor; hold on to the function, not to the view."""
        view: Callable[[], NDArray[Any]] = self._stock.tensor(tensor_index)
        return view

    def get_signature_runner(self, signature_key: str | None = None) -> Any:
        """A callable for one signature, with named inputs and a dict of outputs."""
        return self._stock.get_signature_runner(signature_key)


def _checked_source(path: _Path | None, content: bytes | None) -> dict[str, Any]:
    """The stock interpreter's arguments for a source that may be a model."""
    if path is None:
        content = bytes(content or b"")
        _check_start(content[:8], "the model")
        return {"model_content": content}
    path = Path(path)
    try:
        with path.open("rb") as file:
            _check_start(file.read(8), str(path))
    except FileNotFoundError:
        raise ModelError(
            f"{path}: there is no such file; give the path of a .tflite model"
        ) from None
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}); give the path of a .tflite model"
        ) from error
    return {"model_path": str(path)}


def _check_start(start: bytes, what: str) -> None:
    if start[4:] != b"TFL3":
        raise ModelError(
            f"{what} is not a TensorFlow Lite model: expected a flatbuffer marked 'TFL3', got "
            f"bytes that start with {start.hex(' ') or 'nothing'}"
        )


@contextlib.contextmanager
def _model_errors(what: str) -> Iterator[None]:
    """Turns the backend's errors into ours, all but those about views still held."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if "reference to internal data" in str(error):
            raise
        raise ModelError(f"{what}: {_sentence(str(error))}") from error


def _sentence(message: str) -> str:
    """What a backend's error says about a model, and the fix."""
    unresolved = re.search(r"unresolved custom op: (\w+)", message)
    if unresolved:
        return (
            f"it has the custom op {unresolved[1]}, which the runtime does not know; pass the "
            "delegate that does in experimental_delegates, or try backend='tensorflow'"
        )
    ours = re.search(r"((?:QConv|QFC|LRN)\b.*?)\.?Node number", message, re.DOTALL)
    if ours:
        fix = "" if "update qcnn_tflite" in message else "; convert or copy the model again"
        return ours[1] + fix
    reason = " ".join(message.split()) or "it does not say why"
    return f"the runtime refuses it ({reason}); convert or copy it again"
