"""Whether the kernels answer as the decoded weights do in stock float kernels, on labelled images.

    python benchmarks/agreement.py net-q.tflite val/ --at-least 99.5

The images are a folder, CSV or archive as `qcnn-tflite evaluate` takes them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import qcnn_tflite
from qcnn_tflite import machine
from qcnn_tflite.graph import decoded_float_model
from qcnn_tflite.runtime import selected_kernel


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--kernel", default="auto")
    parser.add_argument("--limit", type=int, help="the first so many images")
    parser.add_argument("--label-offset", type=int, default=0)
    parser.add_argument("--at-least", type=float, help="exit with 1 below this top-1 agreement, %%")
    args = parser.parse_args()
    found = qcnn_tflite.evaluate(
        args.model,
        args.images,
        decoded_float_model(args.model.read_bytes()),
        kernel=args.kernel,
        limit=args.limit,
        label_offset=args.label_offset,
    )
    kernel = selected_kernel() if args.kernel == "auto" else args.kernel
    print(f"kernel {kernel}, {machine.describe()['cpu']}; reference: the decoded weights")
    print(found)
    assert found.agreement is not None
    return int(args.at_least is not None and 100 * found.agreement < args.at_least)


if __name__ == "__main__":
    sys.exit(main())
