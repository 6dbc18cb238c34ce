"""Times entries in turn and makes results of it; what is interrupted or fails keeps what it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import result_document
from ..errors import QcnnError
from ..interleaving import interleave
from ..progress import Progress
from .entry import Entry, Settings

Result = dict[str, Any]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of a run.

    Attributes
    ----------
    results : list of dict
        Of what was measured until then, each marked as partial.
    """

    def __init__(self, results: list[Result]) -> None:
        super().__init__()
        self.results = results


def measure(
    model: str,
    entries: Sequence[Entry],
    settings: Settings,
    *,
    runs: int,
    warmup: int = 5,
    progress: bool | None = None,
) -> tuple[list[Result], list[dict[str, str]]]:
    """Time every entry in one interleaved run.

    Parameters
    ----------
    model : str
        Name of the network, for the results.
    entries : sequence of Entry
    settings : Settings
        What the entries were opened with.
    runs, warmup : int
    progress : bool, optional
        Show a progress bar on stderr; default: if that is a terminal.

    Returns
    -------
    results : list of dict
        As `benchmarks/schema/result-1.json` says; of an entry that failed after some runs, a partial
        one.
    left_out : list of dict
        Entries that failed before, with ``model``, ``variant`` and ``reason``.

    Raises
    ------
    Interrupted
        On Ctrl-C, with the partial results.
    """
    samples: list[list[float]] = []
    failures: dict[int, str] = {}

    def failed(index: int, error: QcnnError) -> None:
        failures[index] = str(error)

    def results(interrupted: str = "") -> list[Result]:
        date = result_document.now()
        found = []
        for index, (entry, times) in enumerate(zip(entries, samples, strict=True)):
            if not times:
                continue
            result = result_document.result(
                model=model,
                variant=entry.variant,
                lrn=entry.lrn,
                samples_ms=times,
                load_ms=entry.contender.load_ms,
                sizes=entry.sizes,
                runtime=entry.runtime,
                threads=settings.threads,
                batch=settings.batch,
                kernel=entry.kernel,
                date=date,
                versions=entry.versions,
            )
            if len(times) < runs:
                reason = failures.get(index) or interrupted
                result["partial"] = f"{len(times)} of {runs} runs: {reason}"
            found.append(result)
        return found

    try:
        with Progress(runs, "runs", progress) as bar:
            bar.describe(model)
            contenders = [entry.contender for entry in entries]
            interleave(
                contenders,
                runs,
                warmup=warmup,
                advance=bar.advance,
                samples=samples,
                failed=failed,
            )
    except KeyboardInterrupt:
        raise Interrupted(results("interrupted") if samples else []) from None
    left_out = [
        {"model": model, "variant": entries[index].label, "reason": reason}
        for index, reason in failures.items()
        if not samples[index]
    ]
    return results(), left_out
