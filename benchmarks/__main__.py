"""`qcnn-tflite benchmark` with more runtimes beside it.

    python -m benchmarks alexnet vgg16 --weights random --peers openvino,onnxruntime,onnxruntime-int8,ncnn
    python -m benchmarks net.tflite --calibration photos/ --images val/ --layers -o net.json --pictures pictures/

The further runtimes take named networks of the kind of AlexNet, CNN-S and VGG, which are written in their formats
with the weights that are measured. Needs `pip install '.[bench,peers]'`.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import model_files
from benchmarks.subjects import Subject
from benchmarks.variants import PEERS
from qcnn_tflite.cli import EXIT_BAD_INPUT, EXIT_INTERRUPTED, benchmark
from qcnn_tflite.errors import ConfigError, QcnnError
from qcnn_tflite.measurement import making
from qcnn_tflite.measurement.entry import Entry, Settings
from qcnn_tflite.measurement.family import Family, Recipe, cache_key, calibration_inputs
from qcnn_tflite.measurement.peers import RUNTIMES, peer_entry, versions
from qcnn_tflite.measurement.session import LeaveOut
from qcnn_tflite.models import registry
from qcnn_tflite.models.load import published_weights
from qcnn_tflite.models.weights import find_weights


def peer_entries(
    peer: str,
    family: Family,
    image: NDArray[np.float32],
    settings: Settings,
    leave_out: LeaveOut,
    *,
    recipe: Recipe,
) -> list[Entry]:
    """A named network in another runtime; none, and the reason told, where that is not possible."""
    runtime, variant, makers = PEERS[peer]
    try:
        versions(runtime, *makers)  # before minutes of making its model
        if family.name not in registry.names() or "float" not in family.files:
            raise ConfigError(
                f"{RUNTIMES[runtime][0]} takes named networks here (qcnn-tflite models), and "
                f"{family.name} is a file"
            )
        base = family.files["float"]
        path = recipe.folder / (
            f"{base.stem}-{peer}-{cache_key(base, variant, recipe)}.{model_files.SUFFIXES[peer]}"
        )
        if not path.exists():
            making.in_own_process(path.name, _make, family.name, base, peer, path, recipe)
        return [peer_entry(runtime, variant, path, image, settings, *makers)]
    except QcnnError as error:
        leave_out(f"{variant} ({RUNTIMES[runtime][0]})", str(error))
        return []


def _make(name: str, base: Path, peer: str, path: Path, recipe: Recipe) -> None:
    model = registry.get(name)
    weights = recipe.weights or published_weights(model)
    network, arrays = find_weights(model.network, weights, model=name, seed=recipe.seed)
    images = calibration_inputs(base, recipe) if PEERS[peer][1] == "int8" else []
    model_files.make_peer(Subject(name, network, arrays), peer, path, images)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    benchmark.add_arguments(parser, tuple(PEERS))
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    args = parser.parse_args()
    try:
        recipe = benchmark.recipe(args)
        others = {name: partial(peer_entries, name, recipe=recipe) for name in PEERS}
        return benchmark.run(args, others)
    except QcnnError as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
