"""Fits the coefficients of qcnn_tflite/cost_model.json to the Google Benchmark of custom_ops/bench.

python -m benchmarks.fit_cost_model build/bench/qcnn_bench           measure, fit, write, compare
python -m benchmarks.fit_cost_model build/bench/qcnn_bench --compare measure the networks, compare

The coefficients are fitted to layers of many shapes (`TRAINING`). The layers of AlexNet, CNN-S and
VGG-16, of which only conv3_2 to conv4_3 of VGG-16 are among those shapes, are what the predictions
are compared with.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import lsq_linear

from benchmarks.kernel_constants import chunk_weights
from qcnn_tflite import cost_model, machine
from qcnn_tflite.config import PRESETS
from qcnn_tflite.cost_model import ConvLayerShape, FcLayerShape
from qcnn_tflite.models import networks
from qcnn_tflite.report import text_table
from qcnn_tflite.result_document import now

LayerShape = ConvLayerShape | FcLayerShape
NETWORKS = {"alexnet": networks.ALEXNET, "cnn_s": networks.CNN_S, "vgg16": networks.VGG16}
_MIN_SECONDS = 0.05
_ROUNDS = 3
_LONG_NS = 1e6

# As qcnn_bench --layer takes them.
TRAINING = (
    # IN_H, IN_W, C_IN, C_OUT, KERNEL, STRIDE, PAD, GROUPS, K, D
    *(
        "conv:" + numbers
        for numbers in (
            "14,14,128,256,3,1,1,1,128,8", "14,14,256,256,3,1,1,1,128,6",
            "14,14,512,256,3,1,1,1,128,6", "14,14,384,384,3,1,1,2,128,8",
            "28,28,128,256,3,1,1,1,128,6", "28,28,256,512,3,1,1,1,128,6",
            "28,28,512,512,3,1,1,1,128,6", "28,28,128,128,3,1,1,1,64,4",
            "56,56,64,128,3,1,1,1,128,6", "56,56,128,256,3,1,1,1,128,8",
            "56,56,256,256,3,1,1,1,128,6", "112,112,64,64,3,1,1,1,128,6",
            "112,112,64,128,3,1,1,1,128,8", "112,112,32,64,3,1,1,1,128,4",
            "13,13,192,256,3,1,1,1,128,8", "13,13,384,256,3,1,1,1,128,8",
            "13,13,256,512,3,1,1,1,128,4", "13,13,192,384,3,1,1,2,128,8",
            "17,17,256,384,3,1,1,1,128,8", "18,18,384,384,3,1,1,1,128,8",
            "18,18,256,256,3,1,1,1,64,8", "20,20,512,512,3,1,1,1,128,8",
            "27,27,64,192,5,1,2,1,128,8", "27,27,96,128,5,1,2,1,128,8",
            "27,27,128,256,5,1,2,2,128,8", "35,35,96,192,5,1,1,1,128,8",
            "40,40,64,256,5,1,1,1,128,8", "28,28,64,128,5,1,2,1,64,4",
            "224,224,3,64,11,4,2,1,128,8", "227,227,3,64,11,4,0,1,128,3",
            "227,227,3,128,11,4,0,1,64,3", "224,224,3,64,7,2,3,1,128,3",
            "224,224,3,128,7,2,0,1,128,3", "112,112,3,96,7,2,0,1,128,3",
            "112,112,3,96,11,4,0,1,128,3", "224,224,3,64,3,2,1,1,128,3",
            "56,56,64,64,3,1,1,1,16,4", "28,28,128,128,3,1,1,1,16,8",
            "28,28,128,128,3,1,1,1,256,4", "14,14,256,256,3,1,1,1,256,8",
            "14,14,256,256,3,1,1,1,64,8", "14,14,256,256,3,1,1,1,16,2",
            "28,28,256,256,1,1,0,1,128,4", "14,14,512,512,1,1,0,1,128,4",
            "56,56,64,128,1,1,0,1,64,2", "14,14,512,512,1,1,0,1,256,2",
            "7,7,1024,1024,1,1,0,1,128,4", "28,28,128,128,3,2,1,1,128,8",
            "56,56,64,128,3,2,1,1,128,8",
            "224,224,32,64,3,1,1,1,128,6", "224,224,16,32,3,1,1,1,128,8",
            "150,150,64,64,3,1,1,1,128,6", "224,224,64,32,3,1,1,1,128,8",
        )
    ),
    # ROWS, C_IN, C_OUT, K, D
    *(
        "fc:" + numbers
        for numbers in (
            "1,6400,4096,32,4", "1,12544,4096,32,4", "1,9216,2048,32,4", "1,2048,4096,32,4",
            "1,4096,2048,32,4", "1,16384,4096,32,4", "1,30000,4096,32,4", "1,4096,1000,32,4",
            "1,1024,1000,32,2", "1,2048,1000,16,1", "1,4096,512,16,1", "1,8192,1000,16,1",
            "1,9216,4096,16,4", "1,4096,2048,16,1", "1,4096,4096,16,2", "1,4096,4096,16,8",
            "1,9216,4096,64,4", "1,4096,1024,64,2", "1,2048,2048,64,8", "1,4096,4096,64,4",
            "1,9216,4096,128,4", "1,4096,1024,128,2", "1,2048,2048,128,8", "1,4096,4096,128,4",
            "1,9216,4096,256,4", "1,4096,1024,256,2", "1,2048,2048,256,8", "1,4096,4096,256,4",
            "1,512,512,32,4", "1,512,512,128,4", "1,9216,4096,4,1", "1,4096,1000,32,1",
        )
    ),
)  # fmt: skip

# Coefficients that may be fitted, the least necessary last.
_CONV = (
    "entry", "entry_pair", "lookup", "code", "pass", "column", "quantize", "finish", "flush",
    "energy", "patch", "far", "build", "layer",
)  # fmt: skip
_LOOKUPS = tuple(f"lookup_{entries}" for entries in (16, 32, 64, 128, 256))
_FC = ("entry", "entry_pair", "table", *_LOOKUPS, "far", "quantize", "finish", "layer")
# Output rows at a time for 1 to 6 kernel columns: `window` of core/qconv_*.
WINDOWS = {
    "avx512_vnni": (4, 4, 4, 4, 2, 2),
    "avx512": (4, 4, 4, 4, 2, 2),
    "avx2": (4, 4, 4, 4, 4, 4),
    "neon": (4, 3, 2, 1, 1, 1),
    "neon_dotprod": (4, 3, 2, 1, 1, 1),
}

# Entries of a table up to which many rows are done one by one: `row_entries` of core/qfc_*.
ROW_ENTRIES = {"avx512_vnni": 128, "avx512": 64, "avx2": 16, "neon": 16, "neon_dotprod": 16}


def network_layers() -> dict[str, tuple[LayerShape, int, int]]:
    """Shape, K and d of every layer that the preset ``paper`` quantizes, by "network/layer"."""
    paper = PRESETS["paper"]
    layers: dict[str, tuple[LayerShape, int, int]] = {}
    for name, network in NETWORKS.items():
        shapes = network.weight_shapes()
        height, width, channels = network.input_shape
        for step in network.layers:
            if isinstance(step, networks.Conv):
                size = (height, width)
                height, width = ((n + 2 * step.pad - step.kernel) // step.stride + 1 for n in size)
                shape = ConvLayerShape(
                    size, (height, width), channels, step.filters, (step.kernel,) * 2,
                    (step.stride,) * 2, groups=step.groups,
                )  # fmt: skip
                weights = step.filters * step.kernel**2 * channels // step.groups
                # As api.py: vgg16 takes d=6.
                d = min(6 if name == "vgg16" else paper.conv.d, channels // step.groups)
                if weights >= paper.min_weights:
                    layers[f"{name}/{step.name}"] = shape, paper.conv.K, d
                channels = step.filters
            elif isinstance(step, networks.Pool):
                height, width = (networks.pooled_size(n, step) for n in (height, width))
            elif isinstance(step, networks.Dense):
                config = paper.last_fc if step.name == network.last else paper.fc
                fc = FcLayerShape(1, *shapes[step.name])
                layers[f"{name}/{step.name}"] = fc, config.K, config.d
    return layers


def training_layers() -> dict[str, tuple[LayerShape, int, int]]:
    """Shape, K and d of `TRAINING`, by the names of the benchmark."""
    layers: dict[str, tuple[LayerShape, int, int]] = {}
    for text in TRAINING:
        kind, _, numbers = text.partition(":")
        n = [int(number) for number in numbers.split(",")]
        if kind == "fc":
            layers[f"layer/{text}"] = FcLayerShape(*n[:3]), n[3], n[4]
            continue
        height, width = ((size + 2 * n[6] - n[4]) // n[5] + 1 for size in n[:2])
        shape = ConvLayerShape(
            (n[0], n[1]), (height, width), n[2], n[3], (n[4],) * 2, (n[5],) * 2, groups=n[7]
        )
        layers[f"layer/{text}"] = shape, n[8], min(n[9], n[2] // n[7])
    return layers


def measure(program: Path, kernel: str, layers: Iterable[str]) -> dict[str, float]:
    """Nanoseconds of layers on a kernel, the best of several rounds.

    The fastest iteration; of layers that take longer than a busy neighbour lets them, the thread's
    own time.

    Parameters
    ----------
    program : Path
        qcnn_bench.
    kernel : str
    layers : iterable of str
        Names of benchmarks, without the kernel.
    """
    names = list(layers)
    own = [f"--layer={name.removeprefix('layer/')}" for name in names if name.startswith("layer/")]
    groups = sorted({name.partition("/")[0] for name in names})
    fastest: dict[str, float] = {}
    # Rounds lie apart, so that a busy neighbour does not meet all of a layer's runs.
    for _ in range(_ROUNDS):
        done = subprocess.run(
            [
                str(program), *own, f"--benchmark_filter=^({'|'.join(groups)})/.*/{kernel}/",
                f"--benchmark_min_time={_MIN_SECONDS}", "--benchmark_format=json",
            ],
            stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        for run in json.loads(done.stdout)["benchmarks"]:
            name = run["name"].rpartition(f"/{kernel}/")[0]
            time = run["min_ns"]
            if time > _LONG_NS:
                time = min(time, run["cpu_ns"])
            fastest[name] = min(time, fastest.get(name, float("inf")))
    missing = [name for name in names if name not in fastest]
    if missing:
        raise SystemExit(f"{program} did not measure {kernel} on {', '.join(missing)}")
    return {name: fastest[name] for name in names}


def fit(
    counts: list[Mapping[str, float]], times_ns: list[float], names: Iterable[str]
) -> dict[str, float]:
    """Coefficients, none below 0, of the least sum of squares of relative errors."""
    names = [name for name in names if any(count.get(name, 0) for count in counts)]
    rows = np.array([[count.get(name, 0.0) for name in names] for count in counts])
    rows /= np.asarray(times_ns)[:, None]
    # Columns of one size: counts differ by many orders of magnitude.
    sizes = np.linalg.norm(rows, axis=0)
    found = lsq_linear(rows / sizes, np.ones(len(times_ns)), bounds=(0, np.inf)).x / sizes
    kept = zip(names, found, strict=True)
    return {name: float(f"{value:.4g}") for name, value in kept if value > 1e-9}


def fit_kernel(
    kernel: str, times_ns: Mapping[str, float], caches: tuple[int, int]
) -> dict[str, Any]:
    """An entry of ``cost_model.json``.

    Parameters
    ----------
    kernel : str
    times_ns : mapping
        By the names of `training_layers`.
    caches : (int, int)
        Bytes of L1 and L2 of a thread.
    """
    model: dict[str, Any] = {
        "machine": machine.cpu_name(),
        "cpu": machine.cpu_id(),
        "date": now(),
        "source": f"least squares on {len(times_ns)} layers, benchmarks/fit_cost_model.py",
        "l1": caches[0],
        "l2": caches[1],
        "window": list(WINDOWS[kernel]),
        "row_entries": ROW_ENTRIES[kernel],
        "chunk_weights": chunk_weights(),
    }
    target = cost_model.kernel_target(model)
    for part, kind, names in (("conv", ConvLayerShape, _CONV), ("fc", FcLayerShape, _FC)):
        chosen = {
            name: layer for name, layer in training_layers().items() if isinstance(layer[0], kind)
        }
        counts = [_counts(*layer, target) for layer in chosen.values()]
        model[part] = fit(counts, [times_ns[name] for name in chosen], names)
    return model


def _counts(shape: LayerShape, K: int, d: int, target: cost_model.Target) -> dict[str, float]:
    if isinstance(shape, FcLayerShape):
        return cost_model.fc_counts(shape, K, d, target)
    return cost_model.conv_counts(shape, K, d, target)


def comparison(kernel: str, times_ns: Mapping[str, float]) -> list[str]:
    """Lines that print predicted beside measured milliseconds, by layer and by network.

    Parameters
    ----------
    kernel : str
    times_ns : mapping
        By the names of `network_layers`.
    """
    layers = network_layers()
    rows = []
    for network in NETWORKS:
        names = [name for name in layers if name.startswith(f"{network}/")]
        predicted = {name: cost_model.predict_ms(*layers[name], kernel) for name in names}
        measured = {name: times_ns[name] * 1e-6 for name in names}
        for name in names:
            rows.append(_row(kernel, name, predicted[name], measured[name]))
        rows.append(_row(kernel, network, sum(predicted.values()), sum(measured.values())))
    head = ["kernel", "layer or network", "predicted ms", "measured ms", "error"]
    return text_table(head, rows, right=(2, 3, 4))


def _row(kernel: str, name: str, predicted: float, measured: float) -> list[str]:
    return [
        kernel, name, f"{predicted:.3f}", f"{measured:.3f}", f"{100 * (predicted / measured - 1):+.1f}%",
    ]  # fmt: skip


def _cache_sizes() -> tuple[int, int]:
    """L1 data and L2 bytes of the first processor, as core/cpu.cc takes them."""
    sizes = {}
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        level, kind, size = (
            (index / name).read_text(encoding="ascii").strip() for name in ("level", "type", "size")
        )
        if kind != "Instruction":
            sizes[int(level)] = int(size.removesuffix("K")) << 10
    return min(sizes.get(1, 32 << 10), 256 << 10), min(sizes.get(2, 256 << 10), 2 << 20)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", type=Path, help="qcnn_bench")
    parser.add_argument(
        "--kernels", nargs="+", metavar="NAME", default=["avx512_vnni", "avx512", "avx2"]
    )
    parser.add_argument(
        "--compare", action="store_true", help="with the coefficients that there are"
    )
    args = parser.parse_args()
    lines: list[str] = []
    for kernel in args.kernels:
        trained = {} if args.compare else training_layers()
        times = measure(args.program, kernel, [*trained, *network_layers()])
        if not args.compare:
            chosen = {name: times[name] for name in trained}
            cost_model.COEFFICIENTS.store(kernel, fit_kernel(kernel, chosen, _cache_sizes()))
        lines += comparison(kernel, times)
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
