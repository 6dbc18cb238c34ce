"""``qcnn-tflite doctor``."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from .. import machine
from ..errors import QcnnError

if TYPE_CHECKING:
    from ..runtime.library import KernelInfo

HELP = "check the installation and say what is missing, and how to mend it"
EXAMPLES = """\
  qcnn-tflite doctor
  qcnn-tflite doctor --json
"""

_REQUIRED = ("numpy", "flatbuffers", "scikit-learn", "pillow", "tqdm", "ai-edge-litert")
# Their delegates do not load: google-ai-edge/LiteRT issues 3479 and 2836.
_BROKEN = {"ai-edge-litert": ("1.4.0", "2.0.2a1")}


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes
    ----------
    name : str
    ok : bool
    found : str
    fix : str
        What to do; empty if nothing.
    required : bool
        Whether the package is unusable without it.
    """

    name: str
    ok: bool
    found: str
    fix: str = ""
    required: bool = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`doctor` takes nothing of its own."""


def run(args: argparse.Namespace) -> int:
    checks = [_package(name) for name in _REQUIRED]
    checks += [_tensorflow(), _library(), *_delegates()]
    failed = [check for check in checks if check.required and not check.ok]
    kernels = _kernels()
    if args.json:
        values = {
            "ok": not failed,
            "checks": [dataclasses.asdict(check) for check in checks],
            "kernels": [dataclasses.asdict(kernel) for kernel in kernels],
            "machine": machine.describe(),
            "versions": machine.versions(),
        }
        print(json.dumps(values, indent=2))
        return int(bool(failed))
    described = machine.describe()
    print(f"{described['system']}; {described['cpu']}, {described['cpus']} CPUs")
    print(f"instruction set {described['instruction_set']}: {' '.join(machine.cpu_features())}\n")
    for check in checks:
        mark = "ok" if check.ok else ("MISSING" if check.required else "absent")
        print(f"{mark:8} {check.name}: {check.found}")
        if check.fix:
            print(f"{'':8} fix: {check.fix}")
    if kernels:
        print("\nkernels, the fastest first; the first that this CPU can run is chosen:")
        for kernel in kernels:
            print(f"  {kernel}")
    print(
        "\nall is well" if not failed else f"\n{len(failed)} problem{'s' * (len(failed) > 1)} found"
    )
    return int(bool(failed))


def _package(name: str) -> Check:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, False, "not installed", f"pip install {name}")
    if version in _BROKEN.get(name, ()):
        return Check(name, False, f"{version} is broken", f"pip install -U {name}")
    return Check(name, True, version)


def _tensorflow() -> Check:
    try:
        return Check("tensorflow", True, metadata.version("tensorflow"), required=False)
    except metadata.PackageNotFoundError:
        return Check(
            "tensorflow",
            False,
            "not installed: .tflite files work, Keras models and named models do not",
            "pip install tensorflow",
            required=False,
        )


def _library() -> Check:
    from ..runtime import library_path, selected_kernel

    return _attempt(
        "native library",
        lambda: f"{library_path()}, kernel {selected_kernel()}",
        "reinstall: pip install --force-reinstall qcnn_tflite",
    )


def _kernels() -> list[KernelInfo]:
    """Every kernel; none if the library cannot be asked, which `_library` has said."""
    from ..runtime import kernels

    try:
        return kernels()
    except QcnnError:
        return []


def _delegates() -> list[Check]:
    """Loads the delegate on every runtime that is installed."""
    from ..runtime.backend import BACKENDS

    return [_ops_on(name) for name in BACKENDS if importlib.util.find_spec(name) is not None]


_LOAD = """
import sys
sys.path = [folder for folder in sys.path if folder]  # what is in the current folder is not installed
from qcnn_tflite.errors import QcnnError
from qcnn_tflite.runtime import load_delegate
try:
    load_delegate(backend=sys.argv[1])
except (QcnnError, OSError, ValueError, RuntimeError) as error:
    sys.exit(str(error))
"""


def _ops_on(runtime: str) -> Check:
    # In a process of its own: a runtime that was built for another processor ends the one that imports
    # it, and TensorFlow greets on stderr, whatever it is told.
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, runtime],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    name, fix = f"ops on {runtime}", f"pip install -U {runtime}"
    if done.returncode == 0:
        return Check(name, True, "QConv and QFC load")
    last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
    if done.returncode < 0:
        last = f"its process was ended by signal {-done.returncode}: {last}"
    return Check(name, False, last, fix)


def _attempt(name: str, action: Callable[[], str], fix: str) -> Check:
    try:
        return Check(name, True, action())
    except (QcnnError, OSError, ValueError, RuntimeError) as error:
        return Check(name, False, str(error), fix)
