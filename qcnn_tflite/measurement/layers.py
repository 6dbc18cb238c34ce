"""Time of every quantized layer beside the float layer that it stands for, each cut out and run alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..comparison import layer_pairs
from ..graph import Layer, Model, QLayer, extract, read_model
from ..graph.model import indices
from ..interleaving import TFLiteContender, interleave
from ..plan import layer_cost
from ..progress import Progress
from ..runtime import Interpreter
from .entry import Settings

RUNS = 20


def measure_layers(
    float_path: Path,
    q_path: Path,
    settings: Settings,
    *,
    runs: int = RUNS,
    progress: bool | None = None,
) -> list[dict[str, Any]]:
    """Median times of every layer, float and quantized in turn, and operations as the paper counts them.

    A layer alone finds its weights in the caches more often than in the network, so the times do not
    add up to the network's.

    Parameters
    ----------
    float_path, q_path : Path
    settings : Settings
    runs : int
    progress : bool, optional

    Returns
    -------
    list of dict
        ``layers`` of a result.

    Raises
    ------
    ModelError
        If the two do not belong together.
    """
    reference, quantized = read_model(float_path), read_model(q_path)
    pairs = layer_pairs(reference, quantized)
    found = []
    with Progress(len(pairs), "layers", progress) as bar:
        for layer, q in pairs:
            bar.describe(q.name)
            contenders = [
                _contender(_alone(reference, layer.op_index), settings),
                _contender(_alone(quantized, q.op_index), settings),
            ]
            floats, ours = (float(np.median(times)) for times in interleave(contenders, runs))
            found.append({**_theory(layer, q), "ms": ours, "float_ms": floats})
            bar.advance()
    return found


def _theory(layer: Layer, q: QLayer) -> dict[str, Any]:
    count, K, d = q.constants.codebooks.shape
    cost = layer_cost(layer, d=d, K=K, codebooks=count)
    return {
        "name": q.name,
        "op": q.op,
        "ops": cost.ops_after,
        "float_ops": cost.ops_before,
    }


def _alone(model: Model, op_index: int) -> bytes:
    operator = model.subgraph.operators[op_index]
    image, response = indices(operator.inputs)[0], indices(operator.outputs)[0]
    return extract(model, [image], [response], op_index, op_index + 1, {})


def _contender(data: bytes, settings: Settings) -> TFLiteContender:
    open_model = partial(
        Interpreter,
        model_content=data,
        num_threads=settings.threads,
        kernel=settings.kernel,
        backend=settings.backend,
    )
    return TFLiteContender(Path("layer"), open_model, settings.batch)
