"""Fits qcnn_tflite/float_cost.json to the stock float kernels (XNNPACK), layer by layer.

    python benchmarks/fit_float_cost.py MODEL.tflite ... [--kernels avx512_vnni avx512] [--write]

Every convolution and fully-connected layer of the models is cut out and timed alone, one thread; the
smallest lower quartile of three rounds counts, so that other work on the machine disturbs little.
Before each run of a fully-connected layer 64 MiB are overwritten: in a network other layers run in
between, and its weights come from memory. XNNPACK takes AVX-512 where there is any, so avx2 is not
measured there: its entry is that of avx512 with twice the time of a multiply-accumulate.
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
from typing import Any

import numpy as np
from scipy.optimize import nnls

from qcnn_tflite import float_cost, machine
from qcnn_tflite.graph import Layer, Model, extract, find_layers, read_model
from qcnn_tflite.runtime.backend import float_interpreter

_ROUNDS, _SECONDS = 3, 0.3


def milliseconds(model: Model, layer: Layer) -> float:
    """Of the layer alone, in the stock interpreter, one thread."""
    op = layer.op_index
    data = extract(
        model,
        [layer.input],
        [layer.output],
        op if layer.pad_op is None else layer.pad_op,
        op + 1,
        {},
    )
    interpreter = float_interpreter(data, 1)
    interpreter.allocate_tensors()
    detail = interpreter.get_input_details()[0]
    values = np.random.default_rng(0).normal(size=detail["shape"]).astype(np.float32)
    interpreter.set_tensor(detail["index"], values)
    other = np.zeros(64 << 17)
    best = np.inf
    for _ in range(_ROUNDS):
        times = []
        end = time.perf_counter() + _SECONDS
        while time.perf_counter() < end or len(times) < 3:
            if layer.kind == "fc":
                other += 1
            began = time.perf_counter()
            interpreter.invoke()
            times.append(time.perf_counter() - began)
        best = min(best, float(np.quantile(times, 0.25)))
    return 1e3 * best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="float .tflite")
    parser.add_argument("--kernels", nargs="+", default=["avx512_vnni", "avx512"])
    parser.add_argument("--write", action="store_true", help="put it into float_cost.json")
    args = parser.parse_args()
    rows, times, names = [], [], []
    for path in args.models:
        model = read_model(path)
        for layer in find_layers(model):
            if layer.ineligible or layer.subgraph:
                continue
            counts = float_cost.counts(layer)
            rows.append([counts[name] for name in float_cost.NAMES])
            times.append(1e6 * milliseconds(model, layer))
            names.append(layer.name)
    matrix, wanted = np.array(rows, float), np.array(times)
    # Relative errors: small layers matter as much as large ones.
    solution, _ = nnls(matrix / wanted[:, None], np.ones(len(wanted)))
    found = matrix @ solution
    for name, row, measured, fitted in zip(names, rows, wanted, found, strict=True):
        rate = row[0] / measured if row[0] else 0
        print(
            f"{name:28} {measured / 1e6:8.3f} ms, fitted {fitted / 1e6:8.3f} ms, {rate:6.1f} GMAC/s"
        )
    error = np.median(np.abs(found / wanted - 1))
    print(f"median error {error:.1%} on {len(wanted)} layers")
    entry = {
        "machine": machine.cpu_name(),
        "cpu": machine.cpu_id(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "source": f"least squares on {len(wanted)} layers, benchmarks/fit_float_cost.py",
        "median_error": round(float(error), 3),
        **{n: float(f"{v:.4g}") for n, v in zip(float_cost.NAMES, solution, strict=True)},
    }
    print(json.dumps(entry, indent=2))
    if args.write:
        for kernel in args.kernels:
            float_cost.COEFFICIENTS.store(kernel, entry)
        if "avx512" in args.kernels:
            float_cost.COEFFICIENTS.store("avx2", _halved(entry))


def _halved(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry at half the multiply-accumulates a cycle."""
    source = "that of avx512 at half the multiply-accumulates a cycle; not measured"
    kept = {name: value for name, value in entry.items() if name != "median_error"}
    return {**kept, "source": source, "mac": round(2 * entry["mac"], 6)}


if __name__ == "__main__":
    main()
