"""What a measurement ran on. No number means anything without it."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

# From best to least; the first whose features are all there names the instruction set.
_INSTRUCTION_SETS = {
    "AVX-512 VNNI": {"avx512f", "avx512bw", "avx512_vnni"},
    "AVX-512": {"avx512f", "avx512bw"},
    "AVX2": {"avx2", "fma"},
    "SSE4.2": {"sse4_2"},
    "NEON dotprod": {"asimd", "asimddp"},
    "NEON": {"asimd"},
    "NEON (armv7)": {"neon"},
}
_PACKAGES = ("qcnn_tflite", "ai_edge_litert", "tensorflow", "tflite_runtime", "numpy")


def cpu_name() -> str:
    """Model name of the processor, or its architecture where the system does not tell."""
    for key in ("model name", "Hardware", "Model"):
        if value := _cpuinfo().get(key):
            return value
    if platform.system() == "Darwin" and (name := _sysctl("machdep.cpu.brand_string")):
        return name
    return platform.processor() or platform.machine()


def cpu_id() -> str:
    """What the processor is where its name does not tell, as in virtual machines: vendor, family and model.

    Returns
    -------
    str
        ``"GenuineIntel family 6 model 207"``, ``"implementer 0x41 part 0xd0b"``, or `cpu_name`
        where the system tells neither.
    """
    values = _cpuinfo()
    if "vendor_id" in values:
        return (
            f"{values['vendor_id']} family {values.get('cpu family')} model {values.get('model')}"
        )
    if "CPU part" in values:
        return f"implementer {values.get('CPU implementer')} part {values['CPU part']}"
    return cpu_name()


def cpu_features() -> list[str]:
    """Vector features of the processor that matter for the kernels, as the system names them."""
    text = _cpuinfo().get("flags") or _cpuinfo().get("Features") or ""
    if platform.system() == "Darwin":
        text = _sysctl("machdep.cpu.leaf7_features").lower()
        if platform.machine() == "arm64":
            text = "asimd asimddp"  # every Apple processor that runs macOS on ARM
    return sorted(_known_features() & set(text.split()))


def instruction_set() -> str:
    """The widest known instruction set of the processor, e.g. ``"AVX-512 VNNI"``."""
    return _widest(set(cpu_features())) or platform.machine() or "unknown"


def _known_features() -> set[str]:
    return set().union(*_INSTRUCTION_SETS.values()) | {"avx512_vbmi", "avx_vnni", "i8mm", "sve"}


def _widest(features: set[str]) -> str | None:
    for name, needed in _INSTRUCTION_SETS.items():
        if needed <= features:
            return name
    return None


def cpu_count() -> int:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe() -> dict[str, object]:
    """Processor, its features and the system, for a JSON result."""
    return {
        "cpu": cpu_name(),
        "cpus": cpu_count(),
        "instruction_set": instruction_set(),
        "features": cpu_features(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def describe_other(cpuinfo: str, cpus: int, system: str) -> dict[str, object]:
    """The same of another machine.

    Parameters
    ----------
    cpuinfo : str
        Its ``/proc/cpuinfo``.
    cpus : int
    system : str
        What its ``uname -srm`` prints.
    """
    values = _parsed(cpuinfo)
    features = sorted(
        _known_features() & set((values.get("flags") or values.get("Features") or "").split())
    )
    architecture = system.split()[-1] if system else "unknown"
    names = (values.get(key) for key in ("model name", "Hardware", "Model"))
    return {
        "cpu": next((name for name in names if name), architecture),
        "cpus": max(1, cpus),
        "instruction_set": _widest(set(features)) or architecture,
        "features": features,
        "system": system,
    }


def _cpuinfo() -> dict[str, str]:
    try:
        return _parsed(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return {}


def _parsed(cpuinfo: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    return found


def _sysctl(name: str) -> str:
    try:
        done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
