"""Another machine: files go there, commands run there. adb and ssh, by their own clients."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ... import machine
from ...errors import RuntimeMissingError

# benchmark_model of a large network takes a while on a slow board; a dead line should not take for ever.
_TIMEOUT = 1800.0


class Remote(ABC):
    """A folder on another machine, removed at the end. Context manager.

    Parameters
    ----------
    name : str
        As it was asked for, e.g. ``adb:1234``.
    parent : str
        Where the folder is made.
    """

    def __init__(self, name: str, parent: str) -> None:
        self.name = name
        self._parent = parent
        self.folder = ""

    def __enter__(self) -> Remote:
        self.check()
        made = self.shell(["mktemp", "-d", f"{self._parent}/qcnn_tflite.XXXXXX"])
        self.folder = made.strip().splitlines()[-1].strip() if made.strip() else ""
        if not self.folder.startswith(self._parent):
            raise RuntimeMissingError(
                f"{self.name}: no folder could be made in {self._parent}: {made}"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.shell(["rm", "-rf", self.folder])
        except RuntimeMissingError:
            if kind is None:
                raise

    @abstractmethod
    def check(self) -> None:
        """Raise RuntimeMissingError if the machine cannot be reached."""

    @abstractmethod
    def push(self, path: Path, name: str = "", *, executable: bool = False) -> str:
        """Copy a file into the folder; its path there."""

    @abstractmethod
    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command there; standard output and error come together."""

    def shell(self, command: Sequence[str]) -> str:
        """What a command prints.

        Raises
        ------
        RuntimeMissingError
            If it fails.
        """
        done = self.run(command)
        if done.returncode:
            raise RuntimeMissingError(f"{self.name}: {shlex.join(command)} failed: {_last(done)}")
        return done.stdout

    def describe(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Its processor and system as results name them, and versions."""
        cpuinfo = self.shell(["cat", "/proc/cpuinfo"])
        cpus = self.shell(["nproc"]).strip()
        system = self.shell(["uname", "-srm"]).strip()
        found = machine.describe_other(cpuinfo, int(cpus) if cpus.isdigit() else 1, system)
        return found, {}

    def elf_machine(self) -> str:
        """What `uname -m` says, for the check of a library."""
        return self.shell(["uname", "-m"]).strip()

    def _client(
        self, command: Sequence[str], *, stdin: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        if shutil.which(command[0]) is None:
            raise RuntimeMissingError(
                f"{self.name} is reached by {command[0]}, which is not installed; install it, or add "
                "it to PATH"
            )
        source = None if stdin is None else stdin.open("rb")
        try:
            return subprocess.run(
                list(command),
                stdin=source or subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeMissingError(
                f"{self.name} did not answer within {_TIMEOUT:.0f} s; is it still connected?"
            ) from error
        finally:
            if source is not None:
                source.close()


class Adb(Remote):
    """An Android device.

    Parameters
    ----------
    serial : str
        As `adb devices` lists it; empty: the only one.
    """

    def __init__(self, serial: str) -> None:
        super().__init__(f"adb:{serial}" if serial else "adb", "/data/local/tmp")
        self._adb = ["adb", *(["-s", serial] if serial else [])]

    def check(self) -> None:
        done = self._client([*self._adb, "get-state"])
        if done.returncode or done.stdout.strip().splitlines()[-1:] != ["device"]:
            raise RuntimeMissingError(
                f"{self.name}: no device is ready ({_last(done)}); connect one, allow USB debugging, and "
                "see `adb devices`"
            )

    def push(self, path: Path, name: str = "", *, executable: bool = False) -> str:
        target = f"{self.folder}/{name or path.name}"
        done = self._client([*self._adb, "push", str(path), target])
        if done.returncode:
            raise RuntimeMissingError(f"{self.name}: {path} could not be copied: {_last(done)}")
        if executable:
            self.shell(["chmod", "755", target])
        return target

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return self._client([*self._adb, "shell", f"{shlex.join(command)} 2>&1"])

    def describe(self) -> tuple[dict[str, Any], dict[str, str]]:
        found, versions = super().describe()
        properties = {
            key: self.shell(["getprop", key]).strip()
            for key in ("ro.product.model", "ro.soc.model", "ro.build.version.release")
        }
        names = [properties["ro.product.model"], properties["ro.soc.model"]]
        found["cpu"] = ", ".join(name for name in names if name) or found["cpu"]
        if release := properties["ro.build.version.release"]:
            versions["android"] = release
        return found, versions


class Ssh(Remote):
    """A machine with a shell, by ssh without questions.

    Parameters
    ----------
    host : str
        ``[USER@]HOST[:PORT]``, or a name of the configuration.
    config : str, optional
        Of ssh, instead of the user's.
    """

    def __init__(self, host: str, config: str | None = None) -> None:
        super().__init__(f"ssh:{host}", "/tmp")
        host, _, port = host.partition(":")
        self._ssh = [
            "ssh",
            *(["-F", config] if config else []),
            *(["-p", port] if port else []),
            *("-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "--", host),
        ]

    def check(self) -> None:
        done = self._client([*self._ssh, "true"])
        if done.returncode:
            raise RuntimeMissingError(
                f"{self.name}: no connection ({_last(done)}); `ssh {self._ssh[-1]} true` must work "
                "without a password"
            )

    def push(self, path: Path, name: str = "", *, executable: bool = False) -> str:
        target = f"{self.folder}/{name or path.name}"
        command = f"cat > {shlex.quote(target)}"
        if executable:
            command += f" && chmod 755 {shlex.quote(target)}"
        done = self._client([*self._ssh, command], stdin=path)
        if done.returncode:
            raise RuntimeMissingError(f"{self.name}: {path} could not be copied: {_last(done)}")
        return target

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return self._client([*self._ssh, f"{shlex.join(command)} 2>&1"])


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stdout.strip().splitlines()
    return lines[-1].strip() if lines else f"exit code {done.returncode}"
