#!/usr/bin/env python3
"""Writes what QcnnKit's tests on Linux read and Swift cannot make there.

    tools/make_fixtures.py OUT

Images as PPM, because Foundation decodes none on Linux: the golden images of the app and those of
tests/golden; what the Python package answers to the golden images, with every kernel that this CPU
has; and a model that is whole, says how images are prepared, and is no classifier.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from PIL import Image

import qcnn_tflite
from qcnn_tflite.calibration.preprocessing import Preprocessing
from qcnn_tflite.graph import read_model
from qcnn_tflite.graph.edit import editable_copy
from qcnn_tflite.graph.metadata import write_metadata
from qcnn_tflite.runtime.library import kernels

ROOT = Path(__file__).resolve().parents[2]


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    assets = ROOT / "ios-demo/Assets/golden"
    golden = json.loads((assets / "golden.json").read_text(encoding="utf-8"))
    names = [row[key] for row in golden["images"] for key in ("file", "prepared")]
    sources = [assets / name for name in names]
    sources += [ROOT / "tests/golden" / name for name in ("photo.png", "noise.png")]
    for source in sources:
        with Image.open(source) as image:
            image.convert("RGB").save(out / (source.stem + ".ppm"))

    model = ROOT / "ios-demo/Assets/models" / golden["model"]
    answers = {
        kernel.name: {
            row["file"]: [
                {"index": p.index, "label": p.label, "probability": float(p.probability)}
                for p in qcnn_tflite.classify(
                    model, assets / row["file"], kernel=kernel.name, threads=1
                )
            ]
            for row in golden["images"]
        }
        for kernel in kernels()
        if kernel.available
    }
    (out / "answers.json").write_text(json.dumps(answers, indent=1), encoding="utf-8")

    # One image of floats in; but an image out.
    path = ROOT / "custom_ops/tests/golden/lrn.tflite"
    model = editable_copy(read_model(path.read_bytes()))
    for tensor in model.subgraph.tensors:
        tensor.shape = [*tensor.shape[:-1], 3]
    height, width = (int(n) for n in model.subgraph.tensors[0].shape[1:3])
    write_metadata(model, {"input": Preprocessing(size=(height, width)).to_metadata()}, None)
    (out / "unsupported.tflite").write_bytes(model.to_bytes())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
