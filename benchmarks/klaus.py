"""Palettes of 8, 4 and 2 bits and mixed ones, as Klaus's table has them, on the Tiny-ImageNet AlexNet.

    python benchmarks/klaus.py [--images 5000]

Needs the files named in CONTRIBUTING.md under QCNN_TEST_DATA (default ../shared/data). The convolutions stay
float; nothing is calibrated. Accuracy is that of the decoded weights in the stock float kernels.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import zipfile
from pathlib import Path

import qcnn_tflite
from qcnn_tflite import machine
from qcnn_tflite.graph import decoded_float_model
from qcnn_tflite.report import text_table
from qcnn_tflite.sizes import format_bytes

DATA = Path(os.environ.get("QCNN_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
# Bits of fc6, fc7, fc8.
VARIANTS = ((8, 8, 8), (4, 8, 8), (4, 4, 4), (2, 8, 8), (2, 2, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000, help="validation images")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with zipfile.ZipFile(DATA / "tiny_imagenet_val_5000.zip") as archive:
            archive.extractall(folder)
        for bits in VARIANTS:
            layers = {f"fc{6 + i}": {"K": 1 << n} for i, n in enumerate(bits)}
            result = qcnn_tflite.convert(
                "alexnet_owt",
                weights=DATA / "alexnet_tin200.npz",
                config={"preset": "klaus", "layers": layers},
            )
            if not rows:
                found = qcnn_tflite.evaluate(result.float_model, folder, limit=args.images)
                rows.append(_row("float", len(result.float_model), 0, found))
            found = qcnn_tflite.evaluate(
                decoded_float_model(result.model), folder, limit=args.images
            )
            dense = sum(x.bytes_after for x in result.report.layers if x.kind == "fc")
            rows.append(_row(" ".join(map(str, bits)), len(result.model), dense, found))
            print(rows[-1], flush=True)
    print(
        "\n".join(text_table(("bits of fc6 fc7 fc8", "file", "FC layers", "top-1", "top-5"), rows))
    )
    print(f"{args.images} images; {machine.describe()}")


def _row(bits: str, size: int, dense: int, found: qcnn_tflite.Evaluation) -> tuple[str, ...]:
    return (
        bits,
        format_bytes(size),
        format_bytes(dense) if dense else "",
        f"{found.top1:.2%}",
        f"{found.top5:.2%}",
    )


if __name__ == "__main__":
    main()
