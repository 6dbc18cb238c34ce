"""Accuracy at size of the Tiny-ImageNet AlexNet: converts it and evaluates it against its float twin.

    python benchmarks/alexnet_tin200.py [--config paper] [--seed 0] [--images 5000] [--distill 3 --unlabelled]

Needs the files named in CONTRIBUTING.md under QCNN_TEST_DATA (default ../shared/data). Accuracy is that
of the decoded weights in the stock float kernels, which the reference kernel agrees with to 1e-4; so
5,000 images take a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
import zipfile
from pathlib import Path

import qcnn_tflite
from qcnn_tflite import machine
from qcnn_tflite.graph import decoded_float_model

DATA = Path(os.environ.get("QCNN_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="paper", help="preset, JSON file or JSON text")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--calibration", type=int, default=1000, help="calibration images")
    parser.add_argument("--images", type=int, default=5000, help="validation images")
    parser.add_argument("--distill", type=int, default=0, metavar="PASSES")
    parser.add_argument(
        "--unlabelled",
        action="store_true",
        help="distill on all 5,000 unlabelled images instead of the calibration images",
    )
    args = parser.parse_args()
    config = json.loads(args.config) if args.config.lstrip().startswith("{") else args.config
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with zipfile.ZipFile(DATA / "tiny_imagenet_unlabelled_5000.zip") as archive:
            names = sorted(archive.namelist())[: args.calibration]
            archive.extractall(folder / "calibration", names)
            if args.unlabelled:
                archive.extractall(folder / "unlabelled")
        with zipfile.ZipFile(DATA / "tiny_imagenet_val_5000.zip") as archive:
            archive.extractall(folder / "validation")
        began = time.perf_counter()
        result = qcnn_tflite.convert(
            "alexnet_owt",
            weights=DATA / "alexnet_tin200.npz",
            config=config,
            calibration=folder / "calibration",
            seed=args.seed,
            distill=args.distill,
            unlabelled=folder / "unlabelled" if args.unlabelled else None,
        )
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(result.report)
        print(f"converted in {seconds:.0f} s, peak memory {peak:.0f} MiB; {machine.describe()}")
        found = qcnn_tflite.evaluate(
            decoded_float_model(result.model),
            folder / "validation",
            result.float_model,
            limit=args.images,
        )
        print(found)


if __name__ == "__main__":
    main()
