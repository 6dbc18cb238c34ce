"""The C++ runner must name the golden images as Python does.

python android-demo/tools/check_runner.py build/android-runner/qcnn_classify [FOLDER OF THE RUNTIME]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from qcnn_tflite.calibration.preprocessing import Preprocessing
from qcnn_tflite.graph import read_model
from qcnn_tflite.graph.metadata import read_mean_image, read_metadata

ASSETS = Path(__file__).resolve().parents[1] / "app/src/main/assets"
# The runner takes the fastest kernel, whose tables are int8 or int16; golden answers are the reference kernel's.
TOLERANCE = 5e-3


def main() -> None:
    runner = Path(sys.argv[1]).resolve()
    environment = dict(os.environ)
    if len(sys.argv) > 2:
        environment["LD_LIBRARY_PATH"] = str(Path(sys.argv[2]).resolve())
    golden = json.loads((ASSETS / "golden/golden.json").read_text(encoding="utf-8"))
    path = ASSETS / "models" / golden["model"]
    model = read_model(path.read_bytes())
    preprocessing = Preprocessing.from_metadata(read_metadata(model) or {}, read_mean_image(model))
    with tempfile.TemporaryDirectory() as folder:
        values = Path(folder) / "input.f32"
        for row in golden["images"]:
            values.write_bytes(preprocessing(ASSETS / "golden" / row["file"]).tobytes())
            for threads in ("1", "2"):
                done = subprocess.run(
                    [runner, path, values, threads], capture_output=True, text=True, env=environment
                )
                if done.returncode != 0:
                    sys.exit(f"{row['file']}: {done.stderr}")
                index, value = done.stdout.splitlines()[0].split()
                best = row["top"][0]
                if (
                    int(index) != best["index"]
                    or abs(float(value) - best["probability"]) > TOLERANCE
                ):
                    sys.exit(f"{row['file']}: expected {best}, got\n{done.stdout}")
        broken = Path(folder) / "broken.tflite"
        broken.write_bytes(path.read_bytes()[:100_000])
        refused = subprocess.run(
            [runner, broken, values], capture_output=True, text=True, env=environment
        )
        if refused.returncode != 2 or "damaged" not in refused.stderr:
            sys.exit(f"a damaged model was not refused: {refused}")
    print(f"{len(golden['images'])} images on 1 and 2 threads; {done.stdout.splitlines()[-1]}")


if __name__ == "__main__":
    main()
