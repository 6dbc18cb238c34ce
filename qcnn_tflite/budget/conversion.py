"""Converts within a budget: measures, chooses, converts, checks on held-out images, corrects."""

from __future__ import annotations

import glob
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import float_cost
from ..agreement import Agreement
from ..calibration.images import load_calibration
from ..config import Config
from ..errors import ConfigError, ModelError, OutputError
from ..files import check_output, write_atomically
from ..graph import check_convertible, find_layers, read_model
from ..machine import cpu_count
from ..models import FloatModel
from ..prediction import prediction_kernel
from ..report import BudgetReport, ConversionReport, LayerReport
from .candidates import eligible
from .front import Measured, describe_front, front_files
from .request import Budget
from .search import Choice, Search
from .sensitivity import LayerOptions, measure

# Conversions after the first one.
MAX_CORRECTIONS = 2
# What a quantized layer brings besides its constants: options, tensors, names, alignment.
_BYTES_PER_LAYER = 900
# A drop below this share of what is allowed is worth another try at a smaller file.
_TIMID = 0.6


def convert_within(
    convert: Callable[..., Any],
    source: FloatModel,
    budget: Budget | Mapping[str, Any],
    *,
    calibration: Any,
    config: Any,
    front: str | os.PathLike[str] | None,
    output: str | os.PathLike[str] | None,
    float_output: str | os.PathLike[str] | None,
    seed: int,
    jobs: int | None,
    progress: bool | None,
    overwrite: bool,
    predict_for: str,
) -> Any:
    """`convert`, with the setting of every layer chosen within a budget.

    Parameters
    ----------
    convert : callable
        Converts with a given configuration, held as ``config``, and writes nothing.
    source : FloatModel
    budget : Budget or mapping
    calibration, config, output, float_output, seed, jobs, progress, overwrite, predict_for
        As for `qcnn_tflite.convert`. Of `config`, the learning and ``quantize: false`` count.
    front : path or None
        Where to write the front; as PNG, and as JSON beside it.

    Returns
    -------
    ConversionResult

    Raises
    ------
    ConfigError
        If the budget is out of reach; the message says what comes nearest.
    """
    began = time.perf_counter()
    wanted, settings = Budget.of(budget), Config.load(config)
    if calibration is None:
        raise ConfigError(
            "a budget is kept by measuring on calibration images: give a few hundred unlabelled ones "
            "(calibration=FOLDER, --calibration)"
        )
    kernel = prediction_kernel(predict_for)
    if kernel is None and wanted.speedup is not None:
        raise ConfigError(
            "a predicted speed-up needs the cost model of a kernel, and this machine's has none: choose "
            "a target with predict_for (--predict-for), or limit theoretical_speedup"
        )
    pictures = _front_paths(front, (output, float_output), overwrite)
    graph = read_model(source.data)
    check_convertible(graph)
    layers = find_layers(graph)
    last = next((x.name for x in reversed(layers) if x.kind == "fc" and not x.ineligible), "")
    free = [x for x in layers if eligible(x, settings, last_fc=x.name == last)]
    if not free:
        raise ConfigError(
            "the configuration leaves a budget no layer to choose for; lower min_weights, or take out "
            "quantize: false"
        )
    images = load_calibration(
        calibration, source.preprocessing, graph.shape(int(graph.subgraph.inputs[0]))
    )
    options = measure(
        graph,
        free,
        images,
        settings.learning,
        axes=_axes(wanted, kernel),
        kernel=kernel,
        seed=seed,
        jobs=jobs,
        threads=jobs or cpu_count(),
        progress=progress,
    )
    search = Search(options, _fixed_bytes(source, options))
    searched = time.perf_counter() - began
    choice = search.choose(wanted, len(source.data))
    attempts: list[tuple[Choice, Any, Agreement]] = []
    while True:
        result = convert(config=_configuration(settings, options, choice), calibration=images)
        attempts.append((choice, result, _agreement(result)))
        if len(attempts) > MAX_CORRECTIONS:
            break
        corrected = _correct(search, wanted, attempts)
        if corrected is None or corrected.candidates in [c.candidates for c, _, _ in attempts]:
            break
        choice = corrected
    choice, result, found = _best(wanted, attempts)
    _check_kept(wanted, result, found, search)
    summary = BudgetReport(
        asked=str(wanted),
        estimated_kl=choice.kl,
        estimated_top5_drop=choice.kl * search.points_per_nat,
        predicted_ms=choice.ms if kernel else None,
        predicted_float_ms=choice.float_ms if kernel else None,
        float_times_from=float_cost.origin(kernel) if kernel else "",
        settings_tried=sum(o.tried for o in options),
        settings_measured=sum(o.measured for o in options),
        conversions=len(attempts),
        search_seconds=searched,
    )
    report = replace(
        result.report,
        layers=_with_reasons(result.report, options),
        budget=summary,
        agreement=found,
        seconds=time.perf_counter() - began,
    )
    result = replace(result, report=report)
    if pictures:
        measured = [
            Measured(len(r.model), c.ms, r.report.theoretical_speedup, a.kl, a.estimated_top5_drop)
            for c, r, a in attempts
        ]
        head = {"model": source.name, "budget": str(wanted), "float_bytes": len(source.data)}
        document = describe_front(search, choice, measured, head)
        files = front_files(document, f"{source.name}: {wanted}")
        for path, data in zip(pictures, files, strict=True):
            write_atomically(path, data, overwrite=overwrite)
    return result


def _front_paths(
    front: str | os.PathLike[str] | None,
    others: tuple[str | os.PathLike[str] | None, ...],
    overwrite: bool,
) -> list[Path]:
    """Of the picture and of the numbers, checked before any work."""
    if front is None:
        return []
    paths = [Path(front).with_suffix(suffix) for suffix in (".png", ".json")]
    for path in paths:
        if any(o is not None and Path(o) == path for o in others):
            raise OutputError(f"{path} is to hold both the front and a model; give it another name")
        check_output(path, overwrite=overwrite)
    return paths


def _axes(budget: Budget, kernel: str | None) -> tuple[str, ...]:
    """Costs in which a setting must not be beaten to be worth measuring."""
    if budget.theoretical_speedup is not None:
        return ("bytes", "ops")
    return ("bytes", "ms") if kernel and budget.speedup is not None else ("bytes",)


def _fixed_bytes(source: FloatModel, options: list[LayerOptions]) -> float:
    """Of the converted file, all that is no constant of a layer to choose for; a little too much."""
    graph = read_model(source.data)
    stored = 0
    for option in options:
        layer = option.layer
        for tensor in (layer.weights, layer.bias):
            data = None if tensor is None else graph.data(graph.subgraph.tensors[tensor])
            stored += 0 if data is None else len(data)
    labels = len(json.dumps(source.labels)) if source.labels else 0
    image = source.preprocessing.mean_image if source.preprocessing is not None else None
    extra = labels + (0 if image is None else 2 * image.size) + 1024
    return len(source.data) - stored + _BYTES_PER_LAYER * len(options) + extra


def _configuration(settings: Config, options: list[LayerOptions], choice: Choice) -> Config:
    overrides = []
    for option, candidate in zip(options, choice.candidates, strict=True):
        c = candidate.config
        fields: dict[str, Any] = {"quantize": c.quantize}
        if c.quantize:
            fields |= {
                "d": c.d,
                "K": c.K,
                "codebooks": c.codebooks,
                "codebook_dtype": c.codebook_dtype,
                "output_scale": c.output_scale,
            }
        overrides.append((glob.escape(option.layer.name), fields))
    if all(c.is_float for c in choice.candidates):
        raise ConfigError(
            "within this budget every layer stays float, so there is nothing to convert; allow a "
            "larger drop, or ask for a smaller file"
        )
    return replace(settings, layers=(*settings.layers, *overrides))


def _agreement(result: Any) -> Agreement:
    found: Agreement | None = result.report.agreement
    if found is None:
        raise ModelError(
            "a budget is kept by running the converted network, which this one cannot be as a classifier "
            "here (qcnn-tflite doctor); choose a configuration instead"
        )
    return found


def _correct(
    search: Search, budget: Budget, attempts: list[tuple[Choice, Any, Agreement]]
) -> Choice | None:
    """Another choice where the last one missed the budget, or was far too careful; else None."""
    choice, result, found = attempts[-1]
    float_bytes = len(result.float_model)
    over = len(result.model) - budget.size_limit(float_bytes)
    if over > 0:
        search.fixed += len(result.model) - choice.size + 64
        return search.choose(budget, float_bytes)
    if budget.top5_drop is None or math.isfinite(budget.size_limit(float_bytes)):
        return None
    drop, allowed = found.estimated_top5_drop, budget.top5_drop
    if _TIMID * allowed <= drop <= allowed or choice.kl <= 0:
        return None
    # What this conversion lost for its estimate, with a little to spare.
    search.gain = 1.1 * max(drop, 0.05 * allowed) / (choice.kl * search.points_per_nat)
    corrected = search.within_drop(allowed, search.limits(budget, float_bytes))
    smaller = corrected.size < 0.97 * choice.size
    return corrected if drop > allowed or smaller else None


def _best(
    budget: Budget, attempts: list[tuple[Choice, Any, Agreement]]
) -> tuple[Choice, Any, Agreement]:
    """Of the attempts that keep the budget the smallest, else the one that comes nearest."""

    def excess(attempt: tuple[Choice, Any, Agreement]) -> tuple[float, float]:
        _, result, found = attempt
        size = len(result.model)
        over = max(0.0, size / budget.size_limit(len(result.float_model)) - 1)
        if budget.top5_drop is not None:
            over += max(0.0, found.estimated_top5_drop - budget.top5_drop)
        return over, size

    return min(attempts, key=excess)


def _check_kept(budget: Budget, result: Any, found: Agreement, search: Search) -> None:
    size, limit = len(result.model), budget.size_limit(len(result.float_model))
    if size > limit:
        raise ConfigError(
            f"the smallest file that came out has {size / 1e6:.3f} MB, more than the budget's "
            f"{limit / 1e6:.3f} MB; allow that"
        )
    if budget.top5_drop is not None and found.estimated_top5_drop > budget.top5_drop:
        raise ConfigError(
            f"{budget}: the nearest conversion has {size / 1e6:.2f} MB and loses "
            f"{found.estimated_top5_drop:.2f} points of top-5 on held-out images (estimated); allow "
            "that, or a larger file"
        )


def _with_reasons(report: ConversionReport, options: list[LayerOptions]) -> list[LayerReport]:
    """The report's layers, those that the budget left float with the reason."""
    known = {o.layer.name: o for o in options}
    layers = []
    for layer in report.layers:
        option = known.get(layer.name)
        if layer.fate == "float" and option is not None:
            layer = replace(layer, reason=_reason(option))
        layers.append(layer)
    return layers


def _reason(option: LayerOptions) -> str:
    quantized = [c for c in option.candidates if not c.is_float]
    if not quantized:
        return "no setting would make it smaller"
    best = min(quantized, key=lambda c: c.kl)
    saved = (option.candidates[0].bytes - best.bytes) / 1e3
    return (
        f"left so by the budget: its most accurate setting ({best}) would save {saved:,.1f} kB for a "
        f"KL divergence of {best.kl:.4f}"
    )
