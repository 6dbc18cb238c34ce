"""Results as a run would write them."""

from __future__ import annotations

from typing import Any

from qcnn_tflite import result_document

LAYERS = [
    {"name": "conv1", "op": "QConv", "ms": 0.5, "float_ms": 1.0, "ops": 10, "float_ops": 40},
    {"name": "fc6", "op": "QFC", "ms": 0.25, "float_ms": 3.0, "ops": 10, "float_ops": 100},
    {"name": "fc10", "op": "QFC", "ms": 0.125, "float_ms": 0.1, "ops": 30, "float_ops": 60},
]
ACCURACY = {
    "images": 500,
    "top1": 0.5,
    "top1_interval": [0.46, 0.54],
    "top5": 0.75,
    "top5_interval": [0.71, 0.79],
    "agreement": 0.9,
}


def one(variant: str, ms: float, size: int, **changes: Any) -> dict[str, Any]:
    """A result of the network ``net``."""
    kernel = "reference" if variant == "q" else None
    arguments: dict[str, Any] = {
        "model": "net",
        "variant": variant,
        "samples_ms": [ms, 1.5 * ms, 0.5 * ms],
        "load_ms": 5.0,
        "sizes": {"file": size, "zipped": size // 2},
        "runtime": ("ai_edge_litert", "2.3.0"),
        "threads": 1,
        "batch": 1,
        "kernel": kernel,
        "date": "2026-11-21T14:00:00+00:00",
    }
    named = {key: changes.pop(key) for key in list(changes) if key in arguments or key == "lrn"}
    return {**result_document.result(**{**arguments, **named}), **changes}
