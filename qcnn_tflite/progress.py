"""A progress bar on stderr, quiet in pipes."""

from __future__ import annotations

import sys
from types import TracebackType

from tqdm import tqdm


class Progress:
    """Context manager around tqdm.

    Parameters
    ----------
    total : int
        Steps.
    unit : str
    shown : bool or None
        None shows the bar only when stderr is a terminal.
    scaled : bool
        Write 1200000 steps as 1.2M.
    """

    def __init__(self, total: int, unit: str, shown: bool | None, *, scaled: bool = False) -> None:
        visible = sys.stderr.isatty() if shown is None else shown
        self._bar = tqdm(
            total=total,
            unit=unit if scaled else f" {unit}",
            unit_scale=scaled,
            disable=not visible,
            file=sys.stderr,
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()

    def describe(self, what: str) -> None:
        """Name what is under way."""
        self._bar.set_description(what)

    def advance(self, steps: int = 1) -> None:
        self._bar.update(steps)
