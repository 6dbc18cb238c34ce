"""Finds the native library that the build put beside the package, and asks it about itself."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import RuntimeMissingError

ENVIRONMENT = "QCNN_TFLITE_LIBRARY"
_FILE = {"darwin": "libqcnn_ops.dylib", "win32": "qcnn_ops.dll"}.get(sys.platform, "libqcnn_ops.so")


def library_path() -> Path:
    """Path of the native library with QConv and QFC.

    For `benchmark_model --external_delegate_path=...` and other hosts. The environment variable
    ``QCNN_TFLITE_LIBRARY`` names another one.

    Raises
    ------
    RuntimeMissingError
        If it is not there.
    """
    override = os.environ.get(ENVIRONMENT)
    if override:
        path = Path(override).absolute()
        if not path.is_file():
            raise RuntimeMissingError(
                f"{ENVIRONMENT} names {override}, and there is no such file; set it to the path of "
                f"{_FILE}, or unset it to use the installed one"
            )
        return path
    places = list(_places())
    for path in places:
        if path.is_file():
            return path
    raise RuntimeMissingError(
        f"{_FILE} was expected at {' or '.join(map(str, places))} and is not there; build and "
        "install it: pip install . (needs a C++17 compiler)"
    )


# Every kernel that there is on some processor, the fastest first.
KERNELS = ("avx512_vnni", "avx512", "avx2", "neon_dotprod", "neon", "reference")


class MemoryUsage(NamedTuple):
    """Bytes that our layers hold besides the model file.

    Attributes
    ----------
    packed : int
        Constants as the kernels keep them.
    scratch : int
        What they work in: tables, tiles, quantized inputs. One piece for an interpreter, as large
        as the layer that needs most.
    """

    packed: int
    scratch: int

    def since(self, before: MemoryUsage) -> MemoryUsage:
        """What was added to `before`."""
        return MemoryUsage(self.packed - before.packed, self.scratch - before.scratch)


@dataclass(frozen=True)
class KernelInfo:
    """A kernel, and whether it can run here.

    Attributes
    ----------
    name : str
    features : str
        CPU features that it needs; empty if it is not in this build.
    built, available : bool
        Whether the library has it; whether this CPU has its features, too.
    chosen : bool
        Whether it is what ``kernel="auto"`` means.
    """

    name: str
    features: str
    built: bool
    available: bool
    chosen: bool

    def __str__(self) -> str:
        if not self.built:
            return f"{self.name}: not in this build"
        fate = "chosen" if self.chosen else "available" if self.available else "not on this CPU"
        return f"{self.name}: {fate}; needs {self.features}"


def selected_kernel() -> str:
    """Name of the kernels that ``kernel="auto"`` means on this machine.

    Raises
    ------
    RuntimeMissingError
        If the native library is missing or cannot be loaded.
    """
    function = _function("qcnn_selected_kernel")
    function.restype = ctypes.c_char_p
    return str(function().decode())


def kernels() -> list[KernelInfo]:
    """Every kernel, in the order in which ``kernel="auto"`` looks for one that this CPU can run.

    Those that are not in this build come last.

    Raises
    ------
    RuntimeMissingError
        If the native library is missing or cannot be loaded.
    """
    function = _function("qcnn_kernels")
    function.argtypes = [ctypes.c_size_t, *[ctypes.POINTER(ctypes.c_char_p)] * 2, ctypes.c_void_p]
    chosen = selected_kernel()
    name, features, available = ctypes.c_char_p(), ctypes.c_char_p(), ctypes.c_int()
    found: list[KernelInfo] = []
    while not function(len(found), name, features, ctypes.byref(available)):
        text = (name.value or b"").decode()
        found.append(
            KernelInfo(
                name=text,
                features=(features.value or b"").decode(),
                built=True,
                available=bool(available.value),
                chosen=text == chosen,
            )
        )
    built = {kernel.name for kernel in found}
    return found + [KernelInfo(n, "", False, False, False) for n in KERNELS if n not in built]


def memory_usage() -> MemoryUsage:
    """Memory of all layers of ours that are alive in this process.

    Raises
    ------
    RuntimeMissingError
        If the native library is missing or cannot be loaded.
    """
    packed, scratch = ctypes.c_size_t(), ctypes.c_size_t()
    function = _function("qcnn_memory")
    function.argtypes = [ctypes.POINTER(ctypes.c_size_t)] * 2
    function.restype = None
    function(packed, scratch)
    return MemoryUsage(packed.value, scratch.value)


def _function(name: str) -> Any:
    path = library_path()
    try:
        return getattr(ctypes.CDLL(str(path)), name)
    except (OSError, AttributeError) as error:
        raise RuntimeMissingError(
            f"{path} cannot be loaded ({error}); build it for this machine: "
            "pip install --force-reinstall --no-deps ."
        ) from error


def _places() -> Iterator[Path]:
    yield Path(__file__).parents[1] / "lib" / _FILE
    # An editable install, or sources that hide the installed package: the library is in
    # site-packages, the sources are here.
    try:
        installed = metadata.distribution("qcnn-tflite")
    except metadata.PackageNotFoundError:
        return
    yield Path(str(installed.locate_file(f"qcnn_tflite/lib/{_FILE}")))
