"""What takes part in a run: one form of a model, opened by what runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import machine
from ..errors import ModelError
from ..interleaving import TFLiteContender
from ..result_document import file_sizes
from ..runtime import Interpreter, selected_kernel
from ..runtime.backend import find_backend


@dataclass(frozen=True)
class Settings:
    """What every entry of a run is opened with.

    Parameters
    ----------
    threads, batch : int
    kernel : str
        As for `qcnn_tflite.Interpreter`.
    backend : str, optional
        As for `qcnn_tflite.Interpreter`.
    """

    threads: int = 1
    batch: int = 1
    kernel: str = "auto"
    backend: str | None = None


@dataclass
class Entry:
    """One form of a model in the run.

    Parameters
    ----------
    variant : str
        As in the results.
    lrn : {"stock", "ours"} or None
        None in networks without local response normalization.
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
    def is_tflite(self) -> bool:
        return isinstance(self.contender, TFLiteContender)

    @property
    def label(self) -> str:
        """For people: ``int8, our LRN``."""
        return label(self.variant, self.lrn)

    @property
    def sizes(self) -> dict[str, int]:
        sizes = file_sizes(*_files(self.path))
        memory = getattr(self.contender, "memory", None)
        if memory is not None and memory.packed:
            sizes |= {"repacked": memory.packed, "scratch": memory.scratch}
        return sizes


def _files(path: Path) -> list[Path]:
    """All files of a model: other runtimes keep the weights beside the graph."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    beside = {".xml": ".bin", ".param": ".bin"}.get(path.suffix)
    return [path] if beside is None else [path, path.with_suffix(beside)]


def label(variant: str, lrn: str | None) -> str:
    """``int8, our LRN``."""
    norms = {"stock": ", stock LRN", "ours": ", our LRN"}
    return variant + norms.get(lrn or "", "")


def tflite_entry(
    path: Path,
    variant: str,
    lrn: str | None,
    settings: Settings,
    image: NDArray[np.float32] | None = None,
) -> Entry:
    """A `.tflite`, run by the installed runtime; with our library only where its ops or our LRN are.

    Raises
    ------
    ModelError
        If the runtime refuses the model.
    RuntimeMissingError
        If there is no runtime or no library of ours.
    ConfigError
        If there is no such kernel.
    """
    name, backend = find_backend(settings.backend)
    ours = variant == "q" or lrn == "ours"

    def open_ours() -> Any:
        return Interpreter(
            path,
            num_threads=settings.threads,
            kernel=settings.kernel,
            backend=settings.backend,
            lrn=lrn != "stock",
        )

    def open_stock() -> Any:
        return backend.Interpreter(model_path=str(path), num_threads=settings.threads)

    open_model: Callable[[], Any] = open_ours if ours else open_stock
    if not path.is_file():  # the stock interpreter's own words for it are poor
        raise ModelError(f"{path}: there is no such file; give the path of a .tflite model")
    try:
        contender = TFLiteContender(path, open_model, settings.batch, image)
    except (RuntimeError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        reason = " ".join(str(error).split())
        raise ModelError(
            f"{path}: the runtime refuses it ({reason}); convert or copy it again"
        ) from error
    kernel = selected_kernel() if settings.kernel == "auto" else settings.kernel
    version = machine.versions().get(name, "")
    return Entry(variant, lrn, contender, path, kernel if ours else None, (name, version))
