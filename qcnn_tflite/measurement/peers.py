"""Other runtimes as contenders, each in a process of its own: where one crashes, the run goes on."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import weakref
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RuntimeMissingError
from .entry import Entry, Settings

# Peer to its name for people and the packages that run it.
RUNTIMES = {
    "openvino": ("OpenVINO", ("openvino",)),
    "onnxruntime": ("ONNX Runtime", ("onnxruntime",)),
    "ncnn": ("ncnn", ("ncnn",)),
}
_CHILD = "qcnn_tflite.measurement.peer_process"


def versions(peer: str, *others: str) -> dict[str, str]:
    """Versions of a peer's packages, and of others that its model is made with.

    Raises
    ------
    RuntimeMissingError
        If one is not installed.
    """
    name, packages = RUNTIMES[peer]
    wanted = (*packages, *others)
    try:
        return {package: metadata.version(package) for package in wanted}
    except metadata.PackageNotFoundError as error:
        raise RuntimeMissingError(
            f"{name} is not measured without the package {error.name}: pip install {' '.join(wanted)}"
        ) from error


def peer_entry(
    peer: str,
    variant: str,
    path: Path,
    image: NDArray[np.float32],
    settings: Settings,
    *others: str,
) -> Entry:
    """A model in another runtime.

    Parameters
    ----------
    peer : {"openvino", "onnxruntime", "ncnn"}
    variant : str
        What its weights are: float, int8.
    path : Path
    image : ndarray of shape (N, H, W, C)
    settings : Settings
    *others : str
        Packages that made the model, for the versions.

    Raises
    ------
    RuntimeMissingError
        If a package is missing, or the runtime refuses the model.
    """
    found = versions(peer, *others)
    name, packages = RUNTIMES[peer]
    return Entry(
        f"{variant} ({name})",
        None,
        PeerContender(peer, path, image, settings.threads),
        path,
        None,
        (packages[0], found[packages[0]]),
        found,
    )


class PeerContender:
    """A model with its input set, in a process of its own.

    Parameters
    ----------
    peer : str
        See `RUNTIMES`.
    path : Path
    image : ndarray of shape (N, H, W, C)
    threads : int

    Attributes
    ----------
    load_ms : float
        Reading the file until it can be run.

    Raises
    ------
    RuntimeMissingError
        If the process ends before it can run the model.
    """

    def __init__(self, peer: str, path: Path, image: NDArray[np.float32], threads: int) -> None:
        self._name = RUNTIMES[peer][0]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "image.npy")
            np.save(file, np.ascontiguousarray(image, np.float32))
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
            self._process = subprocess.Popen(
                [sys.executable, "-m", _CHILD, peer, str(path), str(threads), str(file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
            self._end = weakref.finalize(self, _end, self._process, self._errors)
            self.load_ms = float(self._answer()["load_ms"])

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self) -> float:
        return float(self._ask("run"))

    def output(self) -> NDArray[np.float32]:
        """Of the last run."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "output.npy")
            self._ask(f"output {file}")
            found: NDArray[np.float32] = np.load(file, allow_pickle=False)
            return found

    def peak_rss(self) -> int | None:
        """Bytes of VmHWM of its process so far; None where the system does not tell."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return None

    def close(self) -> None:
        """End the process."""
        self._end()

    def _ask(self, line: str) -> Any:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is gone: `_answer` says how
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        code = self._process.wait()
        raise RuntimeMissingError(f"{self._name} failed: {self._last_words(code)}")

    def _last_words(self, code: int) -> str:
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"its process was ended by {signal.Signals(-code).name}"
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"its process ended with code {code}"


def _end(process: subprocess.Popen[str], errors: Any) -> None:
    if process.poll() is None:
        process.terminate()
    with contextlib.suppress(BrokenPipeError):
        process.communicate()
    errors.close()
