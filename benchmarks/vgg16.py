"""Time and memory of converting VGG-16 at its real size, with random weights.

python benchmarks/vgg16.py                 # weights alone
python benchmarks/vgg16.py --images 32     # error correction on random images, 2 sweeps
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

import qcnn_tflite
from qcnn_tflite import machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=0)
    parser.add_argument("--sweeps", type=int, default=2)
    args = parser.parse_args()
    images = None
    if args.images:
        images = np.random.default_rng(0).integers(0, 256, (args.images, 224, 224, 3), np.uint8)
    began = time.perf_counter()
    result = qcnn_tflite.convert(
        "vgg16",
        weights="random",
        config={"preset": "paper", "learning": {"sweeps": args.sweeps}},
        calibration=images,
    )
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(result.report)
    print(f"{seconds:.0f} s, peak memory {peak:.2f} GiB, of the largest worker {workers:.2f} GiB")
    print(machine.describe())


if __name__ == "__main__":
    main()
