"""Files of coefficients of predicted times, by kernel and by the processor they were fitted on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import machine
from .errors import ConfigError

FORMAT = 2


class Coefficients:
    """``{"format": 2, "unit": "ns", "kernels": {kernel: [entry, ...]}}``, read when first asked.

    An entry that was measured names its processor (``"cpu"``, of `machine.cpu_id` the whole or the
    first words); one that was only computed does not.

    Parameters
    ----------
    path : Path
    name : str
        What an entry is, for messages.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self._entries: dict[str, Mapping[str, Any]] | None = None

    def kernels(self) -> list[str]:
        """Kernels with coefficients."""
        return list(self._read())

    def of(self, kernel: str) -> Mapping[str, Any]:
        """A kernel's entry of this machine's processor, or else the first one.

        Raises
        ------
        ConfigError
            If there is none.
        """
        entries = self._read()
        if kernel not in entries:
            raise ConfigError(
                f"there is no {self.name} of the kernel {kernel!r}; "
                f"there is one of {', '.join(entries) or 'none'}"
            )
        return entries[kernel]

    def store(self, kernel: str, entry: Mapping[str, Any]) -> None:
        """Put an entry into the file, in place of the processor's old one, or of the computed one."""
        document: dict[str, Any] = {"format": FORMAT, "unit": "ns", "kernels": {}}
        if self.path.exists():
            document = json.loads(self.path.read_text(encoding="utf-8"))
        entries = document["kernels"].setdefault(kernel, [])
        index = _index(entries, entry.get("cpu"))
        if index is None:
            entries.append(dict(entry))
        else:
            entries[index] = dict(entry)
        self.path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        self._entries = None

    def _read(self) -> dict[str, Mapping[str, Any]]:
        if self._entries is None:
            kernels = json.loads(self.path.read_text(encoding="utf-8"))["kernels"]
            cpu = machine.cpu_id()
            self._entries = {
                kernel: entries[_index(entries, cpu) or 0] for kernel, entries in kernels.items()
            }
        return self._entries


def _index(entries: list[Mapping[str, Any]], cpu: str | None) -> int | None:
    """Of the entry of a processor; of the one without for None."""
    for i, entry in enumerate(entries):
        known = entry.get("cpu")
        if known == cpu or (known and cpu and cpu.startswith(f"{known} ")):
            return i
    return None
