"""Weights in an ``.npz`` file."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...archives import check_member
from ...errors import ModelError


class NpzFile(Mapping[str, NDArray[Any]]):
    """Arrays of an ``.npz`` by name, without the endings ``.npy`` and ``:0``.

    Raises
    ------
    ModelError
        If it is no such file; later, when an array cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with np.load(path, allow_pickle=False) as archive:
                self._keys = {k.removesuffix(".npy").removesuffix(":0"): k for k in archive.files}
        # Damaged files make zipfile and numpy raise nearly anything; so does a lone array.
        except Exception as error:
            raise ModelError(
                f"{path} is not an .npz file ({error}); save it with numpy.savez"
            ) from error

    def __getitem__(self, name: str) -> NDArray[Any]:
        key = self._keys[name]
        try:
            with zipfile.ZipFile(self._path) as packed:
                for member in {key, f"{key}.npy"} & set(packed.namelist()):
                    check_member(packed, member)
            with np.load(self._path, allow_pickle=False) as archive:
                array: NDArray[Any] = np.asarray(archive[key])
        except Exception as error:
            raise ModelError(f"{self._path}: {key} cannot be read ({error})") from error
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)
