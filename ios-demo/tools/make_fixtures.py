#!/usr/bin/env python3
"""Writes what QcnnKit's tests on Linux read and Swift cannot make there.

    tools/make_fixtures.py OUT

Images as PPM, because Foundation decodes none on Linux: the golden images of the app and those of
tests/golden; what the Python package answers to the golden images, with every kernel that this CPU
has; and a model that is whole, says how images are prepared, and is no classifier.

The answers are those without XNNPACK, which the C libraries of the tests do not have. It adds up the
float layers before ours in another order: the last bits of our inputs differ, some round to the next
step of a fast kernel's tables, and probabilities end up 1.2e-3 apart (3e-7 with the reference kernel).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from qcnn_tflite import Interpreter
from qcnn_tflite.calibration.preprocessing import Preprocessing
from qcnn_tflite.graph import read_mean_image, read_metadata, read_model
from qcnn_tflite.graph.edit import editable_copy
from qcnn_tflite.graph.metadata import write_metadata
from qcnn_tflite.runtime.backend import find_backend
from qcnn_tflite.runtime.library import kernels

ROOT = Path(__file__).resolve().parents[2]


def top_five(path: Path, images: list[Path], kernel: str) -> dict[str, list[dict[str, Any]]]:
    """Index, label and probability of the most probable classes, by the image's name."""
    model = read_model(path)
    metadata = read_metadata(model) or {}
    prepare = Preprocessing.from_metadata(metadata, read_mean_image(model))
    labels = metadata["output"]["labels"]
    assert metadata["output"]["softmax_applied"], f"{path} does not answer with probabilities"
    resolvers = find_backend()[1].OpResolverType
    interpreter = Interpreter(
        path,
        num_threads=1,
        kernel=kernel,
        experimental_op_resolver_type=resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    answers = {}
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], prepare(image)[None])
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
        answers[image.name] = [
            {"index": int(i), "label": labels[i], "probability": float(found[i])}
            for i in np.argsort(-found, kind="stable")[:5]
        ]
    return answers


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

    images = [assets / row["file"] for row in golden["images"]]
    model = ROOT / "ios-demo/Assets/models" / golden["model"]
    answers = {k.name: top_five(model, images, k.name) for k in kernels() if k.available}
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
