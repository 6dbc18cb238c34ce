"""Weights that Keras saved: ``.weights.h5``, a whole model as ``.h5``, or a ``.keras`` archive."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...archives import check_member
from ...errors import ModelError

# No layer of any network comes near. A dataset can say any size and hold nothing.
_MAX_ARRAY = 2 << 30


class Hdf5File(Mapping[str, NDArray[Any]]):
    """Datasets by path; those of an optimizer are left out.

    Raises
    ------
    ModelError
        If it is no such file; later, when a dataset cannot be read.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        self._path = path
        source: Any = path
        self._names: list[str] = []
        try:
            if path.suffix.lower() == ".keras":
                with zipfile.ZipFile(path) as archive:
                    check_member(archive, "model.weights.h5")
                    source = io.BytesIO(archive.read("model.weights.h5"))
            self._file = h5py.File(source, "r")
            self._file.visititems(
                lambda name, item: (
                    self._names.append(name)
                    if isinstance(item, h5py.Dataset) and "optimizer" not in name
                    else None
                )
            )
        # Damaged files make zipfile and h5py raise nearly anything.
        except Exception as error:
            raise ModelError(
                f"{path} does not hold Keras weights ({error}); write it with model.save() or "
                "model.save_weights()"
            ) from error

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._names:
            raise KeyError(name)
        try:
            dataset = self._file[name]
            if dataset.nbytes > _MAX_ARRAY:
                raise ValueError(
                    f"it has {dataset.nbytes:,} bytes, expected at most {_MAX_ARRAY:,}"
                )
            return np.asarray(dataset)
        except Exception as error:
            raise ModelError(f"{self._path}: {name} cannot be read ({error})") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
