"""Palettes of 8, 4 and 2 bits and mixed ones, as Klaus's table has them, on the Tiny-ImageNet AlexNet.

    python benchmarks/klaus.py [--images 5000]

Needs the files named in CONTRIBUTING.md under QCNN_TEST_DATA (default ../shared/data). The convolutions stay
float and nothing is calibrated, so what they answer is computed once, and the fully-connected layers of all
variants run on it: with the decoded weights, in NumPy.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from qcnn_tflite import Interpreter, machine, models
from qcnn_tflite.calibration.images import load_labelled
from qcnn_tflite.graph import extract, find_layers, layer_bias, layer_weights, read_model
from qcnn_tflite.importers.klaus import KlausLayer, Palette, apply
from qcnn_tflite.pq.scalar import fit_palette, nearest_entries
from qcnn_tflite.report import text_table
from qcnn_tflite.sizes import format_bytes

DATA = Path(os.environ.get("QCNN_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
# Bits of fc6, fc7, fc8; 0 is float.
VARIANTS = ((0, 0, 0), (8, 8, 8), (4, 8, 8), (4, 4, 4), (2, 8, 8), (2, 2, 2))
_BATCH = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000, help="validation images")
    args = parser.parse_args()
    source = models.load_float("alexnet_owt", weights=DATA / "alexnet_tin200.npz")
    model = read_model(source.data)
    dense = [layer for layer in find_layers(model) if layer.kind == "fc"]
    features, labels = _features(source, model, dense[0], args.images)
    weights = {x.name: layer_weights(model, x)[:, 0, 0] for x in dense}
    biases = {x.name: layer_bias(model, x) for x in dense}
    palettes: dict[tuple[str, int], KlausLayer] = {}
    rows = []
    for bits in VARIANTS:
        layers: dict[str, KlausLayer] = {}
        x = features
        for layer, n in zip(dense, bits, strict=True):
            matrix = weights[layer.name]
            if n:
                key = layer.name, n
                if key not in palettes:
                    entries = fit_palette(matrix, 1 << n)
                    palettes[key] = KlausLayer(nearest_entries(matrix, entries), Palette(entries))
                layers[layer.name] = palettes[key]
                matrix = palettes[key].palette.entries[palettes[key].codes]
            x = x @ matrix.T + biases[layer.name]
            if layer is not dense[-1]:
                x = np.maximum(x, 0)
        hits = np.argsort(-x, axis=1)[:, :5] == labels[:, None]
        size = len(apply(source.data, layers)) if layers else len(source.data)
        rows.append(
            (
                " ".join(map(str, bits)) if layers else "float",
                format_bytes(size),
                f"{hits[:, 0].mean():.2%}",
                f"{hits.any(axis=1).mean():.2%}",
            )
        )
        print(rows[-1], flush=True)
    print("\n".join(text_table(("bits of fc6 fc7 fc8", "file", "top-1", "top-5"), rows)))
    print(f"{len(labels)} images; {machine.describe()}")


def _features(source: Any, model: Any, first: Any, limit: int) -> tuple[Any, Any]:
    """What the first fully-connected layer reads, for every image, and the labels."""
    image = int(model.subgraph.inputs[0])
    part = extract(model, [image], [first.input], 0, first.op_index, {}, batch=_BATCH)
    interpreter = Interpreter(model_content=part)
    interpreter.allocate_tensors()
    take, give = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    found, labels = [], []
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(DATA / "tiny_imagenet_val_5000.zip") as archive:
            archive.extractall(folder)
        images = load_labelled(folder, source.preprocessing, model.shape(image), limit=limit)
        for batch, numbers in images.batches(_BATCH):
            padded = np.zeros(take["shape"], np.float32)
            padded[: len(batch)] = batch
            interpreter.set_tensor(take["index"], padded)
            interpreter.invoke()
            found.append(interpreter.get_tensor(give["index"])[: len(batch)])
            labels.append(numbers)
    return np.concatenate(found), np.concatenate(labels)


if __name__ == "__main__":
    main()
