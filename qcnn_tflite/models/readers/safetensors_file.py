"""Weights in a ``.safetensors`` file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ...errors import ModelError


class SafetensorsFile(Mapping[str, NDArray[Any]]):
    """Tensors by name.

    Raises
    ------
    ModelError
        If it is no such file; later, when a tensor has a type that NumPy does not know.
    """

    def __init__(self, path: Path) -> None:
        import safetensors

        self._path = path
        self._error = safetensors.SafetensorError
        try:
            self._file = safetensors.safe_open(str(path), framework="numpy")
            self._names = list(self._file.keys())  # type: ignore[no-untyped-call]
        except (OSError, self._error, ValueError, MemoryError) as error:
            raise ModelError(
                f"{path} is not a safetensors file ({error}); save it with safetensors"
            ) from error

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._names:
            raise KeyError(name)
        try:
            array: NDArray[Any] = self._file.get_tensor(name)  # type: ignore[no-untyped-call]
            # NumPy has no bfloat16 and its like, unless some package has added them.
            if array.dtype.kind not in "fiub":
                raise TypeError(f"it is {array.dtype}")
        except (OSError, self._error, TypeError, AttributeError, ValueError) as error:
            raise ModelError(
                f"{self._path}: {name} cannot be read ({error}); save it as float32 or float16"
            ) from error
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
