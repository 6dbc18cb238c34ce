"""Everything that one command measures: model after model, saved after each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, QcnnError
from ..graph import read_model
from .accuracy import measure_accuracy
from .devices import measure_on_device, open_device
from .entry import Entry, Settings, tflite_entry
from .family import Family, Recipe, open_family
from .layers import measure_layers
from .memory import RUNS, peak_rss
from .peers import PeerContender, peer_entry
from .run import Interrupted, Result, measure

LeaveOut = Callable[[str, str], None]
# Further entries of a family, for an image of its input's shape: other runtimes.
Peers = Callable[[Family, NDArray[np.float32], Settings, LeaveOut], list[Entry]]


@dataclass(frozen=True)
class Device:
    """Another machine.

    Parameters
    ----------
    name : str
        ``adb[:SERIAL]`` or ``ssh:HOST``.
    tool : str
        `benchmark_model`: a file here, or a path there.
    library : Path, optional
        Ours, for its processor.
    ssh_config : str, optional
    """

    name: str
    tool: str = "/data/local/tmp/benchmark_model"
    library: Path | None = None
    ssh_config: str | None = None


@dataclass(frozen=True)
class Request:
    """What to measure.

    Parameters
    ----------
    models : sequence of str
        See `qcnn_tflite.measurement.family.open_family`.
    reference : str, optional
    variants : sequence of str, optional
    recipe : Recipe
    settings : Settings
    runs, warmup : int
    stock_lrn : bool
        Leave local response normalization to the runtime everywhere. Else q has ours, and the others
        are measured with the runtime's and with ours.
    reference_lrn : bool
        Measure the others with ours only.
    images : path, optional
        For accuracy.
    label_offset : int
    limit : int, optional
    memory, layers : bool
        Measure peak memory; time every layer.
    peers : callable
        Other runtimes.
    device : Device, optional
    """

    models: Sequence[str]
    reference: str | None = None
    variants: Sequence[str] | None = None
    recipe: Recipe = field(default_factory=Recipe)
    settings: Settings = field(default_factory=Settings)
    runs: int = 50
    warmup: int = 5
    stock_lrn: bool = False
    reference_lrn: bool = False
    images: str | None = None
    label_offset: int = 0
    limit: int | None = None
    memory: bool = False
    layers: bool = False
    peers: Peers = lambda *_: []
    device: Device | None = None


class Session:
    """Measures what a request asks for.

    Parameters
    ----------
    request : Request
    say : callable
        Told in sentences what goes on and what went wrong.
    save : callable
        Called after every model, and on Ctrl-C.

    Attributes
    ----------
    results : list of dict
        As `benchmarks/schema/result-1.json` says.
    left_out : list of dict
    failed : int
        Models of which nothing was measured.
    """

    def __init__(
        self, request: Request, say: Callable[[str], None], save: Callable[[], None]
    ) -> None:
        if request.reference is not None and len(request.models) > 1:
            raise ConfigError(
                "--reference goes with one model; give the others in runs of their own"
            )
        self._request, self._say, self._save = request, say, save
        self.results: list[Result] = []
        self.left_out: list[dict[str, str]] = []
        self.failed = 0

    def run(self) -> None:
        """Measure every model; one that fails is left out, with its reason.

        Raises
        ------
        QcnnError
            If there is one model and nothing of it can be measured.
        KeyboardInterrupt
            After saving what was measured.
        """
        for model in self._request.models:
            try:
                self._measure(model)
            except Interrupted as stop:
                self.results += stop.results
                self._save()
                raise
            except QcnnError as error:
                if len(self._request.models) == 1:
                    raise
                self._say(f"{model}: {error}")
                self.left_out.append({"model": model, "variant": "all", "reason": str(error)})
                self.failed += 1
            self._save()

    def _measure(self, model: str) -> None:
        request = self._request

        def leave_out(variant: str, reason: str) -> None:
            self._say(f"{model}, {variant}: left out: {reason}")
            self.left_out.append({"model": model, "variant": variant, "reason": reason})

        family = open_family(
            model, request.reference, request.variants, request.recipe, leave_out, self._say
        )
        if request.device is not None:
            results, left_out = self._on_device(family)
        else:
            results, left_out = self._here(family, leave_out)
        for entry in left_out:
            self._say(f"{entry['model']}, {entry['variant']}: left out: {entry['reason']}")
        self.left_out += left_out
        self.results += results

    def _here(
        self, family: Family, leave_out: LeaveOut
    ) -> tuple[list[Result], list[dict[str, str]]]:
        request, settings = self._request, self._request.settings
        entries = self._entries(family, leave_out)
        results, left_out = measure(
            family.name, entries, settings, runs=request.runs, warmup=request.warmup
        )
        measured = {(result["variant"], result.get("lrn")): result for result in results}
        pairs = [
            (entry, measured[entry.variant, entry.lrn])
            for entry in entries
            if (entry.variant, entry.lrn) in measured
        ]
        try:
            self._complete(family, pairs, leave_out)
        except KeyboardInterrupt:
            for _, result in pairs:
                result.setdefault("partial", "interrupted after the timed runs")
            raise Interrupted(results) from None
        finally:
            for entry in entries:
                if isinstance(entry.contender, PeerContender):
                    entry.contender.close()
        return results, left_out

    def _entries(self, family: Family, leave_out: LeaveOut) -> list[Entry]:
        request, settings = self._request, self._request.settings
        found: list[Entry] = []
        for variant, path in family.files.items():
            for norm in self._norms(variant, family.has_lrn):
                try:
                    found.append(tflite_entry(path, variant, norm, settings))
                except QcnnError as error:
                    if len(family.files) == 1:
                        raise
                    leave_out(variant, str(error))
        if not found:
            raise ConfigError(f"{family.name}: there is nothing that can be measured")
        first = read_model(found[0].path)
        shape = (settings.batch, *first.shape(int(first.subgraph.inputs[0]))[1:])
        image = np.random.default_rng(0).standard_normal(shape, np.float32)
        return found + request.peers(family, image, settings, leave_out)

    def _norms(self, variant: str, has_lrn: bool) -> list[str | None]:
        if not has_lrn:
            return [None]
        if self._request.stock_lrn:
            return ["stock"]
        if variant == "q" or self._request.reference_lrn:
            return ["ours"]
        return ["stock", "ours"]

    def _complete(
        self, family: Family, pairs: list[tuple[Entry, Result]], leave_out: LeaveOut
    ) -> None:
        """Memory, accuracy and layers, which are not part of the interleaved run."""
        request, settings = self._request, self._request.settings
        if request.memory:
            for entry, result in pairs:
                try:
                    peak = _peak(entry, settings)
                except QcnnError as error:
                    leave_out(f"{entry.label}, memory", str(error))
                else:
                    if peak is not None:
                        count = RUNS if entry.is_tflite else len(result["samples_ms"])
                        result["memory"] = {"peak_rss_bytes": peak, "runs": count}
        if request.images is not None:
            self._accuracy(pairs, leave_out)
        q = next((result for entry, result in pairs if entry.variant == "q"), None)
        if request.layers and q is not None and {"float", "q"} <= set(family.files):
            try:
                q["layers"] = measure_layers(family.files["float"], family.files["q"], settings)
            except QcnnError as error:
                leave_out("q, layers", str(error))

    def _accuracy(self, pairs: list[tuple[Entry, Result]], leave_out: LeaveOut) -> None:
        request = self._request
        assert request.images is not None
        # With either normalization the answers are the same but for rounding; once is enough.
        chosen: dict[str, Entry] = {}
        for entry, _ in pairs:
            if entry.is_tflite:
                chosen.setdefault(entry.variant, entry)
        try:
            found = measure_accuracy(
                list(chosen.values()),
                request.images,
                request.settings,
                preprocessing=request.recipe.preprocessing,
                label_offset=request.label_offset,
                limit=request.limit,
            )
        except QcnnError as error:
            leave_out("accuracy", str(error))
            return
        known = dict(zip(chosen, found, strict=True))
        for entry, result in pairs:
            if entry.is_tflite:
                result["accuracy"] = known[entry.variant]
        if skipped := found[0].get("unreadable"):
            self._say(f"{skipped} images of {request.images} could not be decoded and are left out")

    def _on_device(self, family: Family) -> tuple[list[Result], list[dict[str, str]]]:
        request, device = self._request, self._request.device
        assert device is not None
        with open_device(device.name, device.ssh_config) as remote:
            return measure_on_device(
                remote,
                family.name,
                family.files,
                request.settings,
                runs=request.runs,
                tool=device.tool,
                library=device.library,
                has_lrn=family.has_lrn,
            )


def _peak(entry: Entry, settings: Settings) -> int | None:
    if isinstance(entry.contender, PeerContender):
        return entry.contender.peak_rss()
    return peak_rss(
        entry.path,
        delegate=entry.kernel is not None,
        kernel=settings.kernel,
        lrn=entry.lrn != "stock",
        threads=settings.threads,
    )


def openvino(family: Family, image: Any, settings: Settings, leave_out: LeaveOut) -> list[Entry]:
    """OpenVINO on the float `.tflite`, which it reads itself. It has no local response normalization."""
    try:
        if "float" not in family.files:
            raise ConfigError("OpenVINO runs the float model; give it as --reference")
        return [peer_entry("openvino", "float", family.files["float"], image, settings)]
    except QcnnError as error:
        leave_out("float (OpenVINO)", str(error))
        return []
