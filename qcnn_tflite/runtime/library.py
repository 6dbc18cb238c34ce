"""Finds the native library that the build put beside the package."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

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


def selected_kernel() -> str:
    """Name of the kernels that ``kernel="auto"`` means on this machine.

    Raises
    ------
    RuntimeMissingError
        If the native library is missing or cannot be loaded.
    """
    path = library_path()
    try:
        function = ctypes.CDLL(str(path)).qcnn_selected_kernel
    except (OSError, AttributeError) as error:
        raise RuntimeMissingError(
            f"{path} cannot be loaded ({error}); build it for this machine: "
            "pip install --force-reinstall --no-deps ."
        ) from error
    function.restype = ctypes.c_char_p
    return str(function().decode())


def _places() -> Iterator[Path]:
    yield Path(__file__).parents[1] / "lib" / _FILE
    # An editable install, or sources that hide the installed package: the library is in
    # site-packages, the sources are here.
    try:
        installed = metadata.distribution("qcnn-tflite")
    except metadata.PackageNotFoundError:
        return
    yield Path(str(installed.locate_file(f"qcnn_tflite/lib/{_FILE}")))
