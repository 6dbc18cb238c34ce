"""A run on another machine: models there in turn, a few inferences each time."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__, result_document
from ...errors import ConfigError, RuntimeMissingError
from ...interleaving import BLOCK
from ...progress import Progress
from ...result_document import file_sizes
from ..entry import Settings, label
from ..run import Interrupted, Result
from . import benchmark_model
from .remote import Adb, Remote, Ssh

# ELF's e_machine to what uname -m says.
_ELF = {
    3: ("i686", "i386", "x86"),
    62: ("x86_64",),
    40: ("armv7l", "armv8l", "arm"),
    183: ("aarch64", "arm64"),
}


def open_device(text: str, ssh_config: str | None = None) -> Remote:
    """A device by ``adb[:SERIAL]`` or ``ssh:HOST``.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    kind, _, rest = text.partition(":")
    if kind == "adb":
        return Adb(rest)
    if kind == "ssh" and rest and not rest.startswith("-"):
        return Ssh(rest, ssh_config)
    raise ConfigError(
        f"--device: expected adb, adb:SERIAL, ssh:HOST or ios:FILE.json, got {text!r}"
    )


def measure_on_device(
    remote: Remote,
    model: str,
    files: Mapping[str, Path],
    settings: Settings,
    *,
    runs: int,
    tool: str,
    library: Path | None,
    has_lrn: bool = False,
    progress: bool | None = None,
) -> tuple[list[Result], list[dict[str, str]]]:
    """Time every form of a model on a device, in turn; then profile it and watch its memory.

    Parameters
    ----------
    remote : Remote
        Entered.
    model : str
    files : dict of str to Path
        `.tflite` files by variant.
    settings : Settings
    runs : int
        Timed runs of each.
    tool : str
        `benchmark_model` for the device: a file here, which is copied, else a path there.
    library : Path or None
        Our library for the device; without it there is no q.
    has_lrn : bool
        Time the others with our local response normalization too.
    progress : bool, optional

    Returns
    -------
    results, left_out
        As `qcnn_tflite.measurement.run.measure`.

    Raises
    ------
    RuntimeMissingError
        If the device cannot be reached, or has no such tool.
    ConfigError
        If the library is for another processor.
    Interrupted
        On Ctrl-C, with the partial results.
    """
    described, versions = remote.describe()
    local = Path(tool)
    program = remote.push(local, "benchmark_model", executable=True) if local.is_file() else tool
    version = ""
    if local.is_file():
        version = "sha256:" + hashlib.sha256(local.read_bytes()).hexdigest()[:16]
    there = None
    if library is not None:
        _check_library(library, remote)
        there = remote.push(library)
    subjects = [
        _Subject(remote, program, variant, path, norm, settings, there)
        for variant, path in files.items()
        for norm in _norms(variant, has_lrn, there is not None)
    ]
    left_out: list[dict[str, str]] = []

    def fail(subject: _Subject, reason: str) -> None:
        left_out.append({"model": model, "variant": subject.label, "reason": reason})
        subject.failed = reason

    def results(reason: str = "") -> list[Result]:
        date = result_document.now()
        found = []
        for subject in subjects:
            if not subject.samples:
                continue
            result = result_document.result(
                model=model,
                variant=subject.variant,
                lrn=subject.lrn,
                samples_ms=subject.samples,
                load_ms=float(np.median(subject.loads)),
                sizes=file_sizes(subject.path),
                runtime=("benchmark_model", version),
                threads=settings.threads,
                batch=1,
                kernel=settings.kernel if subject.uses_library else None,
                date=date,
                machine=described,
            )
            result["versions"] = {"qcnn_tflite": __version__, **versions}
            result["device"] = remote.name
            result["runs_per_sample"] = subject.each
            result |= subject.extra
            if why := subject.failed or reason:
                result["partial"] = f"{subject.each * len(subject.samples)} of {runs} runs: {why}"
            found.append(result)
        return found

    rounds = max(1, runs // BLOCK)
    each = max(1, runs // rounds)
    try:
        with Progress(rounds, "rounds", progress) as bar:
            bar.describe(f"{model} on {remote.name}")
            for turn in range(rounds):
                for i in range(len(subjects)):
                    subject = subjects[(turn + i) % len(subjects)]
                    if subject.failed is None:
                        _attempt(subject, lambda s: s.time(each), fail)
                bar.advance()
        for subject in subjects:
            if subject.failed is None:
                _attempt(subject, lambda s: s.look(each), fail)
    except KeyboardInterrupt:
        raise Interrupted(results("interrupted")) from None
    measured = {subject.label for subject in subjects if subject.samples}
    return results(), [entry for entry in left_out if entry["variant"] not in measured]


class _Subject:
    """One form of the model on the device."""

    def __init__(
        self,
        remote: Remote,
        program: str,
        variant: str,
        path: Path,
        lrn: str | None,
        settings: Settings,
        library: str | None,
    ) -> None:
        self.variant, self.path, self.lrn = variant, path, lrn
        self.samples: list[float] = []
        self.loads: list[float] = []
        self.extra: dict[str, Any] = {}
        self.each = 1
        self.failed: str | None = None
        self.uses_library = variant == "q" or lrn == "ours"
        self._remote, self._program, self._settings = remote, program, settings
        self._library = library if self.uses_library else None
        self._there: str | None = None

    @property
    def label(self) -> str:
        return label(self.variant, self.lrn)

    def time(self, runs: int) -> None:
        report = self._invoke(runs)
        self.samples.append(report.ms)
        self.loads.append(report.load_ms)
        self.each = report.runs

    def look(self, runs: int) -> None:
        """Its operators and its memory; the times of this invocation do not count."""
        report = self._invoke(runs, profile=True, memory=True)
        if report.profile:
            self.extra["profile"] = report.profile
        if report.footprint_bytes is not None:
            self.extra["footprint_bytes"] = report.footprint_bytes

    def _invoke(self, runs: int, **flags: bool) -> benchmark_model.Report:
        if self.uses_library and self._library is None:
            raise RuntimeMissingError(
                "the library of QConv and QFC for the device is missing; give libqcnn_ops.so by --library"
            )
        if self._there is None:
            name = f"{self.variant.replace(' ', '-')}-{self.path.name}"
            self._there = self._remote.push(self.path, name)
        kernel = self._settings.kernel
        wishes = [f"kernel:{kernel}"] if kernel != "auto" else []
        wishes += ["lrn:0"] if self.lrn == "stock" else []
        command = benchmark_model.arguments(
            self._there,
            threads=self._settings.threads,
            runs=runs,
            library=self._library,
            library_options=";".join(wishes),
            **flags,
        )
        done = self._remote.run([self._program, *command])
        if done.returncode:
            words = benchmark_model.last_words(done.stdout)
            raise RuntimeMissingError(
                f"{self._remote.name}: benchmark_model ended with code {done.returncode}: {words}"
            )
        return benchmark_model.parse(done.stdout)


def _attempt(subject: _Subject, what: Any, fail: Any) -> None:
    try:
        what(subject)
    except RuntimeMissingError as error:
        fail(subject, str(error))


def _norms(variant: str, has_lrn: bool, library: bool) -> list[str | None]:
    if not has_lrn:
        return [None]
    if variant == "q":
        return ["ours"]
    return ["stock", "ours"] if library else ["stock"]


def _check_library(path: Path, remote: Remote) -> None:
    """Refuse a library for another processor, whose message on the device would be poor."""
    try:
        with path.open("rb") as file:
            head = file.read(20)
    except OSError as error:
        raise ConfigError(f"--library: {path} cannot be read ({error.strerror})") from error
    if head[:4] != b"\x7fELF" or len(head) < 20:
        raise ConfigError(f"--library: {path} is no shared library for Linux or Android (no ELF)")
    names = _ELF.get(struct.unpack_from("<H", head, 18)[0], ("another processor",))
    there = remote.elf_machine()
    # A 64-bit kernel may run 32-bit programs: their runtime decides, and says so.
    if there not in names and not (there == "aarch64" and "arm" in names):
        raise ConfigError(
            f"--library: {path} is for {names[0]}, {remote.name} is {there}; build it for that processor"
        )
