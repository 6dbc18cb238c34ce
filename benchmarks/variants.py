"""The variants of a network, and what runs each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.model_files import model_file
from benchmarks.subjects import Subject
from qcnn_tflite.errors import QcnnError
from qcnn_tflite.measurement import entry
from qcnn_tflite.measurement.peers import peer_entry, versions

# Peer on the command line to the runtime, what its weights are, and the packages that make its model.
PEERS = {
    "openvino": ("openvino", "int8", ("nncf", "onnx")),
    "onnxruntime": ("onnxruntime", "float", ("onnx",)),
    "onnxruntime-int8": ("onnxruntime", "int8", ("onnx",)),
    "ncnn": ("ncnn", "float", ()),
}


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
    variants : sequence of str
        Of TensorFlow Lite, stock float first.
    peers : sequence of str
        Keys of `PEERS`.
    """

    folder: Path
    threads: int = 1
    kernel: str = "auto"
    variants: Sequence[str] = ("float", "int8", "q")
    peers: Sequence[str] = ()


def entries(
    what: Subject, settings: Settings, leave_out: Callable[[str, str], None]
) -> list[entry.Entry]:
    """Every variant of a network that runs here, loaded, stock float first.

    Parameters
    ----------
    what : Subject
    settings : Settings
    leave_out : callable
        Told which variant is left out and why.

    Raises
    ------
    QcnnError
        If the float model cannot be made or run.
    """
    image = next(what.images(1))
    norms: list[str | None] = ["stock", "ours"] if what.has_lrn else [None]
    plan = [(variant, lrn) for variant in settings.variants for lrn in norms]
    shared = entry.Settings(settings.threads, kernel=settings.kernel)
    found = []
    for variant, lrn in plan:
        try:
            path = model_file(what.name, variant, settings.folder)
            found.append(entry.tflite_entry(path, variant, lrn, shared, image))
        except QcnnError as error:
            if (variant, lrn) == plan[0]:
                raise
            leave_out(entry.label(variant, lrn), str(error))
    for peer in settings.peers:
        try:
            found.append(_peer(what, peer, image, settings.folder, shared))
        except QcnnError as error:
            leave_out(peer, str(error))
    return found


def _peer(
    what: Subject, peer: str, image: NDArray[np.float32], folder: Path, settings: entry.Settings
) -> entry.Entry:
    runtime, variant, makers = PEERS[peer]
    versions(runtime, *makers)  # before minutes of making its model
    path = model_file(what.name, peer, folder)
    return peer_entry(runtime, variant, path, image, settings, *makers)
