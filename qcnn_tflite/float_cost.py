"""Predicts the time of a float layer in the stock runtime, to weigh it against a quantized one.

``float_cost.json`` holds, for the machines behind each kernel of the cost model, nanoseconds per
multiply-accumulate, per weight and per layer, with their origin. ``benchmarks/fit_float_cost.py``
fits those that were measured.
"""

from __future__ import annotations

from pathlib import Path

from .coefficients import Coefficients
from .graph import Layer

COEFFICIENTS = Coefficients(Path(__file__).with_name("float_cost.json"), "float cost")
NAMES = ("mac", "weight", "layer")
# Positions from which on a layer is bound by arithmetic.
_OFTEN = 8


def predict_ms(layer: Layer, kernel: str) -> float:
    """Milliseconds of one inference of a float layer on one thread.

    Parameters
    ----------
    layer : Layer
        A convolution or fully-connected layer.
    kernel : str
        Whose machine; one of the cost model.

    Raises
    ------
    ConfigError
        If there are no coefficients for its machine.
    """
    model = COEFFICIENTS.of(kernel)
    return 1e-6 * sum(float(model[name]) * count for name, count in counts(layer).items())


def origin(kernel: str) -> str:
    """Where the float times of a kernel's machine come from, for people."""
    model = COEFFICIENTS.of(kernel)
    return f"{model['machine']}, {model['source']}"


def counts(layer: Layer) -> dict[str, float]:
    """What one image costs, by the names of the coefficients.

    mac: multiply-accumulates where each weight is used many times; weight: weights that are used
    once or a few times, and so cost their way from memory; layer: 1.
    """
    positions = max(1, layer.positions)
    often = positions >= _OFTEN
    return {
        "mac": float(positions * layer.weight_count) if often else 0.0,
        "weight": 0.0 if often else float(layer.weight_count),
        "layer": 1.0,
    }
