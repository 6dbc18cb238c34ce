"""Makes the files that are measured, once, in a folder outside the repository."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from joblib.externals.loky import get_reusable_executor

import qcnn_tflite
from benchmarks.subjects import Subject, subject
from qcnn_tflite.errors import RuntimeMissingError
from qcnn_tflite.files import write_atomically

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
    variant : {"float", "int8", "q", "openvino"}
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
        context = multiprocessing.get_context("spawn")
        try:
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                pool.submit(_make, name, variant, path, seed).result()
        except BrokenProcessPool as error:
            raise RuntimeMissingError(
                f"the process that makes {path.name} died, perhaps for want of memory: {error}"
            ) from error
    return path


def forget(name: str, folder: Path) -> None:
    """Remove the files of a network, so that they are made anew."""
    for path in folder.glob(f"{name}-seed*"):
        path.unlink()


def _file_name(name: str, variant: str, seed: int) -> str:
    version = {"q": f"-{CONFIG}-{qcnn_tflite.__version__}", "openvino": "-int8"}.get(variant, "")
    suffix = "xml" if variant == "openvino" else "tflite"
    return f"{name}-seed{seed}-{variant}{version}.{suffix}"


def _make(name: str, variant: str, path: Path, seed: int) -> None:
    float_path = path.with_name(_file_name(name, "float", seed))
    with contextlib.redirect_stdout(sys.stderr):  # the quantizers' chatter is no result
        _MAKERS[variant](subject(name, seed), float_path, path)


def _make_float(what: Subject, _: Path, path: Path) -> None:
    write_atomically(path, what.float_model())


def _make_q(what: Subject, float_path: Path, path: Path) -> None:
    qcnn_tflite.convert(float_path, path, config=CONFIG)
    # The converter's idle workers would keep this process from ending for five minutes.
    get_reusable_executor().shutdown(wait=True)


def _make_int8(what: Subject, float_path: Path, path: Path) -> None:
    """Full-integer: int8 activations, input and output, and int8 weights with a scale a channel.

    LRN has no integer kernel anywhere; it stays float between DEQUANTIZE and QUANTIZE.
    """
    try:
        from litert_quantizer import quantizer, recipe
    except ImportError as error:
        raise RuntimeMissingError(
            f"the int8 model needs litert-quantizer ({error}): pip install litert-quantizer"
        ) from error
    maker = quantizer.Quantizer(str(float_path))
    maker.load_quantization_recipe(recipe.static_wi8_ai8())
    images = [{"image": image} for image in what.images(_CALIBRATION_IMAGES, seed=1)]
    ranges = maker.calibrate({"serving_default": images})
    write_atomically(path, bytes(maker.quantize(ranges).quantized_model))


def _make_openvino(what: Subject, _: Path, path: Path) -> None:
    from benchmarks.openvino_peer import make

    make(what, path, list(what.images(_CALIBRATION_IMAGES, seed=1)))


_MAKERS: dict[str, Callable[[Subject, Path, Path], None]] = {
    "float": _make_float,
    "int8": _make_int8,
    "q": _make_q,
    "openvino": _make_openvino,
}
