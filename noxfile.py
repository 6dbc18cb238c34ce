"""The golden models on every runtime that they must run on: ``nox``; one of them: ``nox -s "x86_64(tensorflow-2.13)"``.

Each run is a row of docs/compatibility.json, from which the last session writes the table in
docs/compatibility.md. A runtime is installed into an environment of its own, which is deleted behind it.
On Debian the command wants: cmake ninja-build g++ npm qemu-user g++-aarch64-linux-gnu g++-arm-linux-gnueabihf.
"""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import nox

ROOT = Path(__file__).parent
BUILD = ROOT / "build" / "matrix"
RUNNER = ROOT / "tests" / "runtime" / "run_golden.py"
ROWS = ROOT / "docs" / "compatibility.json"
PAGE = ROOT / "docs" / "compatibility.md"
TRIPLES = {"x86_64": "x86_64", "aarch64": "aarch64-linux-gnu", "armv7l": "arm-linux-gnueabihf"}
# Every minor version; 1.4.0 is known to be broken.
LITERT = ("1.0", "1.1", "1.2", "1.3", "2.0", "2.1", "2.2", "2.3")
TENSORFLOW = tuple(f"2.{minor}" for minor in range(13, 22))
# (module, requirements) by name. ai-edge-litert 1.0 and tflite-runtime are older than NumPy 2 and do not say
# so; tensorflow-cpu is tensorflow in a third of the bytes.
RUNTIMES = {
    "ai-edge-litert-1.0": ("ai_edge_litert", ["ai-edge-litert==1.0.*", "numpy<2"]),
    **{f"ai-edge-litert-{v}": ("ai_edge_litert", [f"ai-edge-litert=={v}.*"]) for v in LITERT[1:]},
    **{f"tensorflow-{v}": ("tensorflow", [f"tensorflow-cpu=={v}.*"]) for v in TENSORFLOW},
    "tflite-runtime-2.14": ("tflite_runtime", ["tflite-runtime==2.14.*", "numpy<2"]),
}
# What qemu pretends to be, and the kernel that must be chosen there.
X86_CPUS = {"Nehalem": "reference", "Haswell": "avx2"}
ARM_CPUS = {
    "aarch64": {"cortex-a72": "neon", "max": "neon_dotprod"},
    "armv7l": {"cortex-a9": "neon"},
}
NEWEST = f"ai-edge-litert-{LITERT[-1]}"
NODE_PACKAGE = "tfjs-tflite-node@0.0.2"

nox.options.sessions = ["library", "x86_64", "c_library", "x86_cpus", "aarch64", "armv7l", "table"]
nox.options.error_on_missing_interpreters = True


def run_golden(
    session: nox.Session,
    row: str,
    arch: str,
    runtime: str | Path,
    *,
    python: list[str] | None = None,
    cpu: str = "",
    selected: str = "",
    env: dict[str, str] | None = None,
) -> None:
    """Run the golden models, keep the answer as a row, and fail when something is wrong."""
    library = BUILD / arch / "libqcnn_ops.so"
    output = session.run(
        *(python or [f"{session.bin}/python"]), str(RUNNER), str(library), str(runtime),
        silent=True, external=True, env={"PYTHONPATH": None, **(env or {})},
        success_codes=[*range(-64, 256)],
    )  # fmt: skip
    lines = str(output).splitlines()
    found = [line for line in lines if line.startswith('{"runtime"')]
    document: dict[str, Any] = json.loads(found[-1]) if found else {"error": lines[-3:]}
    document["wrong"] = [
        w for k in document.pop("kernels", {}).items() for w in wrong(*k, document)
    ]
    if selected and document.get("selected") != selected:
        document["wrong"].append(f"chose {document.get('selected')}, expected {selected}")
    document |= {"arch": arch, "cpu": cpu, "date": f"{datetime.now(timezone.utc):%Y-%m-%d}"}
    rows = json.loads(ROWS.read_text()) if ROWS.exists() else {}
    rows[row] = document
    ROWS.write_text(json.dumps(dict(sorted(rows.items())), indent=1) + "\n")
    if document.get("error") or document["wrong"]:
        session.error(f"{row}: {(document.get('error') or document['wrong'])[:3]}")
    session.log(f"{row}: {document['models']} models on {', '.join(document['ran'])}")


def wrong(kernel: str, result: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """Put a kernel's result into the row; what it answered wrongly."""
    document.setdefault("ran", {})[kernel] = float(f"{result['worst']:.1e}")
    document["models"] = result["models"]
    return [f"{kernel}: {text}" for text in result["wrong"]]


def delete_environment(session: nox.Session) -> None:
    shutil.rmtree(session.virtualenv.location, ignore_errors=True)


def node_package(session: nox.Session) -> Path:
    """The folder of TensorFlow Lite 2.9's C libraries, fetched once."""
    folder = BUILD / "node"
    libraries = folder / "package" / "cc_deps"
    if not libraries.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with session.chdir(folder):
            session.run("npm", "pack", "--silent", NODE_PACKAGE, external=True)
            (archive,) = folder.glob("*.tgz")
            with tarfile.open(archive) as file:
                file.extractall(folder, filter="data")
    return libraries


@nox.session(venv_backend="none")
def library(session: nox.Session) -> None:
    """Build the native library for each processor."""
    for arch, triple in TRIPLES.items():
        toolchain = ROOT / "custom_ops" / "cmake" / f"{triple}.cmake"
        session.run(
            "cmake", "-S", "custom_ops", "-B", str(BUILD / arch), "-G", "Ninja",
            "-DCMAKE_BUILD_TYPE=Release",
            *([f"-DCMAKE_TOOLCHAIN_FILE={toolchain}"] if toolchain.exists() else []),
            external=True, silent=True,
        )  # fmt: skip
        session.run(
            "cmake", "--build", str(BUILD / arch), "-t", "qcnn_ops", external=True, silent=True
        )


@nox.session
@nox.parametrize("runtime", list(RUNTIMES), ids=list(RUNTIMES))
def x86_64(session: nox.Session, runtime: str) -> None:
    """The Python runtimes on this machine."""
    module, requirements = RUNTIMES[runtime]
    try:
        session.install("--only-binary=:all:", "--no-cache-dir", "--no-compile", *requirements)
        run_golden(session, f"x86_64 {runtime}", "x86_64", module)
    finally:
        delete_environment(session)


@nox.session
def c_library(session: nox.Session) -> None:
    """The oldest C library, both ways in."""
    session.install("numpy")
    path = node_package(session) / "linux_amd64" / "libtensorflowlite_c.so"
    run_golden(session, "x86_64 libtensorflowlite_c-2.9", "x86_64", path)


@nox.session
def x86_cpus(session: nox.Session) -> None:
    """Processors without AVX-512 and without AVX2: each chooses its kernel, and runs no other."""
    module, requirements = RUNTIMES[NEWEST]
    session.install("--only-binary=:all:", *requirements)
    c_api = node_package(session) / "linux_amd64" / "libtensorflowlite_c.so"
    try:
        for cpu, selected in X86_CPUS.items():
            for name, runtime in ((NEWEST, module), ("libtensorflowlite_c-2.9", c_api)):
                emulated = ["qemu-x86_64", "-cpu", cpu, f"{session.bin}/python"]
                row = f"x86_64 {name} {cpu}"
                # What OpenBLAS chooses by itself crashes there, in NumPy's import.
                run_golden(session, row, "x86_64", runtime, python=emulated, cpu=cpu,
                           selected=selected, env={"OPENBLAS_CORETYPE": "PRESCOTT"})  # fmt: skip
    finally:
        delete_environment(session)


def arm_root(session: nox.Session, arch: str) -> tuple[Path, Path]:
    """Debian's Python and NumPy for another processor, unpacked in a folder; no root needed.

    Returns the root and its Python.
    """
    folder = BUILD / f"debian-{arch}"
    root, apt = folder / "root", folder / "apt"
    if not root.exists():
        debian = {"aarch64": "arm64", "armv7l": "armhf"}[arch]
        for part in ("lists/partial", "cache/archives/partial"):
            (apt / part).mkdir(parents=True, exist_ok=True)
        (apt / "status").touch()
        options = [
            "-o", f"Dir::State={apt}", "-o", f"Dir::State::status={apt}/status",
            "-o", f"Dir::Cache={apt}/cache", "-o", f"APT::Architecture={debian}",
            "-o", f"APT::Architectures::={debian}", "-o", "APT::Sandbox::User=",
        ]  # fmt: skip
        # A mirror in the middle of its own update leaves one list out; the others will do.
        session.run(
            "apt-get", *options, "update", external=True, silent=True, success_codes=[0, 100]
        )
        session.run("apt-get", *options, "install", "--download-only", "-y",
                    "--no-install-recommends", "python3-numpy", "libstdc++6", external=True, silent=True)  # fmt: skip
        for package in sorted((apt / "cache" / "archives").glob("*.deb")):
            session.run("dpkg-deb", "-x", str(package), f"{root}.new", external=True, silent=True)
        Path(f"{root}.new").rename(root)
    (python,) = (p for p in (root / "usr" / "bin").glob("python3.*") if p.name[-1].isdigit())
    return root, python


def run_on_arm(session: nox.Session, arch: str, name: str, cpus: dict[str, str]) -> None:
    """One runtime on an emulated processor, with Debian's Python for it."""
    root, python = arm_root(session, arch)
    packages = BUILD / f"packages-{arch}"
    try:
        if name.startswith("libtensorflowlite_c"):
            runtime: str | Path = node_package(session) / "linux_arm64" / "libtensorflowlite_c.so"
        else:
            runtime, requirements = RUNTIMES[name]
            platforms = ("manylinux2014", *(f"manylinux_2_{n}" for n in range(17, 37)))
            # Debian's NumPy is the only one for armv7, which leaves nothing to resolve there.
            alone = ["--no-deps"] if arch == "armv7l" else ["numpy<2"]
            session.run(
                sys.executable, "-m", "pip", "install", "-q", "--target", str(packages),
                "--no-cache-dir", "--no-compile", "--only-binary=:all:", "--python-version",
                python.name[6:],
                *(word for p in platforms for word in ("--platform", f"{p}_{arch}")),
                *alone, *(r for r in requirements if not r.startswith("numpy")),
                external=True, silent=True,
            )  # fmt: skip
        libraries = root / "usr" / "lib" / TRIPLES[arch]
        paths = ":".join(f"{libraries}/{part}" for part in ("blas", "lapack"))
        for cpu, selected in cpus.items():
            emulator = "qemu-aarch64" if arch == "aarch64" else "qemu-arm"
            run_golden(
                session, f"{arch} {name} {cpu}", arch, runtime, cpu=cpu, selected=selected,
                python=[emulator, "-cpu", cpu, "-L", str(root), "-E", f"LD_LIBRARY_PATH={paths}",
                        "-E", f"PYTHONPATH={packages}", str(python)],
            )  # fmt: skip
    finally:
        shutil.rmtree(packages, ignore_errors=True)


# ai-edge-litert 1.0 has no wheel for it, 2.2 and 2.3 crash under qemu 7.2 without us; TensorFlow takes too
# long to import there.
ON_AARCH64 = [
    *(f"ai-edge-litert-{v}" for v in LITERT[1:-2]),
    "tflite-runtime-2.14", "libtensorflowlite_c-2.9",
]  # fmt: skip


@nox.session(venv_backend="none")
@nox.parametrize("runtime", ON_AARCH64, ids=ON_AARCH64)
def aarch64(session: nox.Session, runtime: str) -> None:
    """Under qemu, with and without dot products."""
    run_on_arm(session, "aarch64", runtime, ARM_CPUS["aarch64"])


@nox.session(venv_backend="none")
def armv7l(session: nox.Session) -> None:
    """Under qemu. Only tflite-runtime has wheels."""
    run_on_arm(session, "armv7l", "tflite-runtime-2.14", ARM_CPUS["armv7l"])


@nox.session(venv_backend="none")
def table(session: nox.Session) -> None:
    """Write the table into docs/compatibility.md."""
    head, start, rest = PAGE.read_text().partition("<!-- nox -->\n")
    _, end, tail = rest.partition("<!-- /nox -->")
    if not (start and end):
        session.error(f"{PAGE} has no place for the table")
    lines = [
        "| runtime | on | processor | chosen | kernels that ran, largest error | models | date |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = json.loads(ROWS.read_text())
    for row in rows.values():
        if row.get("error") or row["wrong"]:
            session.error(f"a row is wrong: {row}")
        ran = ", ".join(f"{kernel} {error:.0e}" for kernel, error in row["ran"].items())
        cpu = f"qemu {row['cpu']}" if row["cpu"] else "native"
        lines.append(
            f"| {row['runtime']} {row['version']} | {row['arch']}, Python {row['python']} | {cpu} | "
            f"{row['selected']} | {ran} | {row['models']} | {row['date']} |"
        )
    PAGE.write_text(head + start + "\n".join(lines) + "\n" + end + tail)
