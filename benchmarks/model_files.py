"""Makes the files that are measured, once, in a folder outside the repository."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import qcnn_tflite
from benchmarks.subjects import Subject, subject
from qcnn_tflite.files import write_atomically
from qcnn_tflite.measurement import making

CONFIG = "paper"
_CALIBRATION_IMAGES = 4


def default_folder() -> Path:
    """The user's cache folder for these files."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "qcnn_tflite" / "benchmarks"


def model_file(name: str, variant: str, folder: Path, *, seed: int = 0) -> Path:
    """A model's file; made first where it is not there yet.

    It is made in a process of its own, which gives all its memory back and leaves no threads.

    Parameters
    ----------
    name : str
        See `benchmarks.subjects.subject`.
    variant : str
        Of TensorFlow Lite: float, float16, dynamic, int8, q; or a key of `benchmarks.variants.PEERS`.
    folder : Path
        Created where it does not exist.
    seed : int

    Raises
    ------
    ModelError
        If there is no such network.
    RuntimeMissingError
        If a package that the variant needs is not installed, or the process dies.
    """
    path = folder / _file_name(name, variant, seed)
    if not path.exists():
        subject(name, seed)  # refuses an unknown name before any work
        folder.mkdir(parents=True, exist_ok=True)
        if variant != "float":
            model_file(name, "float", folder, seed=seed)
        making.in_own_process(path.name, _make, name, variant, path, seed)
    return path


def forget(name: str, folder: Path) -> None:
    """Remove the files of a network, so that they are made anew."""
    for path in folder.glob(f"{name}-seed*"):
        path.unlink()


def _file_name(name: str, variant: str, seed: int) -> str:
    version = {"q": f"-{CONFIG}-{qcnn_tflite.__version__}", "openvino": "-int8"}.get(variant, "")
    return f"{name}-seed{seed}-{variant}{version}.{SUFFIXES.get(variant, 'tflite')}"


def _make(name: str, variant: str, path: Path, seed: int) -> None:
    float_path = path.with_name(_file_name(name, "float", seed))
    what = subject(name, seed)
    if variant in SUFFIXES:
        make_peer(what, variant, path, _calibration(what))
    else:
        _MAKERS[variant](what, float_path, path)


def _make_float(what: Subject, _: Path, path: Path) -> None:
    write_atomically(path, what.float_model())


def _make_q(what: Subject, float_path: Path, path: Path) -> None:
    making.make_q(float_path, path, {"config": CONFIG})


def _make_int8(what: Subject, float_path: Path, path: Path) -> None:
    making.make_int8(float_path, path, _calibration(what))


def _make_dynamic(what: Subject, float_path: Path, path: Path) -> None:
    making.make_dynamic(float_path, path)


def _make_float16(what: Subject, float_path: Path, path: Path) -> None:
    making.make_float16(float_path, path)


def make_peer(what: Subject, peer: str, path: Path, images: list[NDArray[np.float32]]) -> None:
    """Write a network for another runtime.

    Parameters
    ----------
    what : Subject
    peer : str
        A key of `benchmarks.variants.PEERS`.
    path : Path
    images : list of ndarray
        For calibration, where it is made int8.

    Raises
    ------
    ModelError
        If the network has layers that are not written for this runtime.
    """
    if peer == "openvino":
        from benchmarks import openvino_peer

        openvino_peer.make(what, path, images)
    elif peer == "onnxruntime":
        from benchmarks.onnx_network import to_onnx

        write_atomically(path, to_onnx(what).SerializeToString())
    elif peer == "onnxruntime-int8":
        from benchmarks import onnx_int8

        onnx_int8.make(what, path, images)
    else:
        from benchmarks import ncnn_network

        ncnn_network.write(what, path)


def _calibration(what: Subject) -> list[NDArray[np.float32]]:
    return list(what.images(_CALIBRATION_IMAGES, seed=1))


_MAKERS: dict[str, Callable[[Subject, Path, Path], None]] = {
    "float": _make_float,
    "float16": _make_float16,
    "dynamic": _make_dynamic,
    "int8": _make_int8,
    "q": _make_q,
}
SUFFIXES = {
    "openvino": "xml",
    "onnxruntime": "onnx",
    "onnxruntime-int8": "onnx",
    "ncnn": "param",
}
