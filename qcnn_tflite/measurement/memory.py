"""Peak memory of a model in a fresh process. Linux only: the measure is VmHWM."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ..errors import RuntimeMissingError
from ..runtime import library_path

CHILD = Path(__file__).with_name("peak_rss.py")
RUNS = 10


def peak_rss(
    model: Path,
    *,
    delegate: bool,
    kernel: str = "auto",
    lrn: bool = True,
    threads: int = 1,
    runs: int = RUNS,
) -> int:
    """Bytes of VmHWM of a fresh process that loads `model` and runs it.

    Parameters
    ----------
    model : Path
    delegate : bool
        Load the library of our ops.
    kernel, lrn
        Of that library, as for `qcnn_tflite.Interpreter`.
    threads, runs : int

    Raises
    ------
    RuntimeMissingError
        If that process fails.
    """
    command = [sys.executable, "-I", str(CHILD), str(model), str(runs), str(threads)]
    if delegate:
        command += [str(library_path()), f"kernel={kernel}", *([] if lrn else ["lrn=0"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RuntimeMissingError(f"{model} did not run in a process of its own: {last}")
    return int(done.stdout.split()[-1])
