"""The speed test of the Quantized-CNN program (2016): 100 batches of one image, five repeats.

    python -m benchmarks.speed_test net.tflite net-q.tflite [--threads 1]

Models take turns from repeat to repeat. Every repeat is 100 inferences, one after another, each on another
random image; the first repeat is preceded by an untimed inference.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcnn_tflite import machine
from qcnn_tflite.errors import ModelError, QcnnError
from qcnn_tflite.measurement.entry import Entry, Settings, tflite_entry
from qcnn_tflite.measurement.family import describe
from qcnn_tflite.report import text_table
from qcnn_tflite.runtime.tensors import as_input

BATCHES, REPEATS = 100, 5
_IMAGES = 8


def repeat(entry: Entry, images: NDArray[np.float32], batches: int) -> float:
    """Seconds of so many inferences, setting the images included."""
    interpreter = entry.contender.interpreter
    detail = interpreter.get_input_details()[0]
    inputs = [as_input(image, detail) for image in images]
    start = time.perf_counter()
    for i in range(batches):
        interpreter.set_tensor(detail["index"], inputs[i % len(inputs)])
        interpreter.invoke()
    return time.perf_counter() - start


def measure(
    entries: list[Entry], batches: int = BATCHES, repeats: int = REPEATS
) -> NDArray[np.float64]:
    """Seconds of every repeat.

    Returns
    -------
    ndarray of shape (entries, repeats)
    """
    random = np.random.default_rng(0)
    images = []
    for entry in entries:
        shape = entry.contender.interpreter.get_input_details()[0]["shape"]
        images.append(random.standard_normal((_IMAGES, *shape), np.float32))
        entry.contender.run()
    found = np.zeros((len(entries), repeats))
    for turn in range(repeats):
        for i in range(len(entries)):
            chosen = (turn + i) % len(entries)
            found[chosen, turn] = repeat(entries[chosen], images[chosen], batches)
    return found


def table(names: list[str], seconds: NDArray[np.float64], batches: int) -> str:
    """A row for every model, the first one being what the others are compared with."""
    per_image = 1e3 * seconds / batches
    rows = [
        [
            name,
            *(f"{ms:.3f}" for ms in times),
            f"{times.mean():.3f}",
            f"{times.std(ddof=1) if len(times) > 1 else 0:.3f}",
            f"{per_image[0].mean() / times.mean():.2f}x",
        ]
        for name, times in zip(names, per_image, strict=True)
    ]
    head = ["ms an image", *(f"repeat {i + 1}" for i in range(seconds.shape[1]))]
    head += ["mean", "deviation", "speed-up"]
    return "\n".join(text_table(head, rows, right=range(1, len(head))))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", type=Path, metavar="FILE", help="the float one first")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kernel", default="auto")
    parser.add_argument("--batches", type=int, default=BATCHES)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    args = parser.parse_args()
    settings = Settings(args.threads, kernel=args.kernel)
    try:
        entries = []
        for path in args.models:
            variant, has_lrn = describe(path)
            if variant is None:
                raise ModelError(f"{path}: expected a .tflite file")
            norm = ("ours" if variant == "q" else "stock") if has_lrn else None
            entries.append(tflite_entry(path, variant, norm, settings))
        seconds = measure(entries, args.batches, args.repeats)
    except QcnnError as error:
        print(error, file=sys.stderr)
        return 2
    print(table([path.name for path in args.models], seconds, args.batches))
    here = machine.describe()
    print(f"{here['cpu']}, {here['instruction_set']}, {args.threads} thread(s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
