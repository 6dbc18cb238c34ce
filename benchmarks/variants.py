"""The variants of a network, and what runs each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import qcnn_tflite
from benchmarks.model_files import model_file
from benchmarks.subjects import Subject
from qcnn_tflite import machine
from qcnn_tflite.errors import QcnnError
from qcnn_tflite.interleaving import Contender, TFLiteContender
from qcnn_tflite.result_document import file_sizes
from qcnn_tflite.runtime import selected_kernel
from qcnn_tflite.runtime.backend import find_backend


@dataclass
class Entry:
    """One variant in the run.

    Parameters
    ----------
    variant : str
    lrn : {"stock", "ours"} or None
        None in networks without.
    contender : Contender
        With an attribute `load_ms`.
    path : Path
    kernel : str or None
        None where no kernel of ours runs.
    runtime : (str, str)
        Name and version.
    versions : dict
        Further packages.
    """

    variant: str
    lrn: str | None
    contender: Any
    path: Path
    kernel: str | None
    runtime: tuple[str, str]
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def sizes(self) -> dict[str, int]:
        weights = self.path.with_suffix(".bin")
        sizes = file_sizes(self.path, *([weights] if self.path.suffix == ".xml" else []))
        memory = getattr(self.contender, "memory", None)
        if memory is not None and memory.packed:
            sizes |= {"repacked": memory.packed, "scratch": memory.scratch}
        return sizes


@dataclass(frozen=True)
class Settings:
    """What a run is made with.

    Parameters
    ----------
    folder : Path
        Of the model files.
    threads : int
    kernel : str
        As for `qcnn_tflite.Interpreter`.
    openvino : bool
        Also OpenVINO's int8.
    """

    folder: Path
    threads: int = 1
    kernel: str = "auto"
    openvino: bool = False


def entries(what: Subject, settings: Settings, say: Callable[[str], None]) -> list[Entry]:
    """Every variant of a network that runs here, loaded, stock float first.

    Parameters
    ----------
    what : Subject
    settings : Settings
    say : callable
        Told in a sentence what is left out and why.

    Raises
    ------
    QcnnError
        If the float model cannot be made or run.
    """
    image = next(what.images(1))
    norms: list[str | None] = ["stock", "ours"] if what.has_lrn else [None]
    if what.has_lrn and not _knows_lrn():
        norms = ["stock"]
        say(f"{what.name}: left out with our LRN: the installed qcnn_tflite has none")
    plan = [(variant, lrn) for variant in ("float", "int8", "q") for lrn in norms]
    if settings.openvino:
        plan.append(("openvino", None))
    found = []
    for variant, lrn in plan:
        try:
            path = model_file(what.name, variant, settings.folder)
            if variant == "openvino":
                entry = _openvino(path, image, settings)
            else:
                entry = _tflite(path, variant, lrn, image, settings)
        except QcnnError as error:
            if (variant, lrn) == plan[0]:
                raise
            label = variant if lrn is None else f"{variant}, LRN {lrn}"
            say(f"{what.name}, {label}: left out: {error}")
            continue
        found.append(entry)
    return found


def _tflite(
    path: Path, variant: str, lrn: str | None, image: NDArray[np.float32], settings: Settings
) -> Entry:
    name, backend = find_backend()
    ours = variant == "q" or lrn == "ours"
    open_model: Callable[[], Any]
    if ours:
        open_model = partial(
            qcnn_tflite.Interpreter,
            path,
            num_threads=settings.threads,
            kernel=settings.kernel,
            **_lrn_argument(lrn),
        )
    else:
        open_model = partial(
            backend.Interpreter, model_path=str(path), num_threads=settings.threads
        )
    kernel = selected_kernel() if settings.kernel == "auto" else settings.kernel
    return Entry(
        variant,
        lrn,
        TFLiteContender(path, open_model, image=image),
        path,
        kernel if ours else None,
        (name, machine.versions()[name]),
    )


@cache
def _knows_lrn() -> bool:
    """Whether package and native library have an LRN of their own: a library without refuses the option."""
    if "lrn" not in inspect.signature(qcnn_tflite.load_delegate).parameters:
        return False
    try:
        qcnn_tflite.load_delegate(lrn=False)
    except QcnnError:
        return False
    return True


def _lrn_argument(lrn: str | None) -> dict[str, bool]:
    return {"lrn": lrn == "ours"} if lrn is not None and _knows_lrn() else {}


def _openvino(path: Path, image: NDArray[np.float32], settings: Settings) -> Entry:
    from benchmarks.openvino_peer import OpenVinoContender, versions

    contender: Contender = OpenVinoContender(path, image, settings.threads)
    found = versions()
    return Entry(
        "int8 (OpenVINO)", None, contender, path, None, ("openvino", found["openvino"]), found
    )
