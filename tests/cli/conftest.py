"""Small models of every kind that a user may bring, and a way to run the command."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from qcnn_tflite.cli import main

SIDE = 12
CLASSES = 7
PREPROCESSING = {
    "resize": "squash",
    "size": [SIDE, SIDE],
    "crop": [SIDE, SIDE],
    "channels": "RGB",
    "scale": 1.0,
    "mean": [127.5, 127.5, 127.5],
    "std": [64.0, 64.0, 64.0],
}


@dataclass(frozen=True)
class Done:
    """What a command left: exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs ``qcnn-tflite`` in this process."""

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as stop:  # argparse
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return run


@pytest.fixture
def convert(command: Callable[..., Done]) -> Callable[..., Done]:
    """Runs ``qcnn-tflite convert`` in one process: starting others takes longer than these nets."""
    return lambda *arguments: command("convert", *arguments, "--jobs", 1)


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, so that whatever a command leaves is seen."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with float.tflite, int8.tflite, plain.tflite (no eligible layer) and images."""
    folder = tmp_path_factory.mktemp("nets")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own
        _fill(folder)
    return folder


def _fill(folder: Path) -> None:
    import tensorflow as tf

    tf.keras.utils.set_random_seed(0)
    layers = tf.keras.layers
    net = tf.keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 3)),
            layers.Conv2D(16, 3, activation="relu", name="tiny"),
            layers.Conv2D(64, 3, activation="relu", name="conv"),
            layers.Flatten(),
            layers.Dense(96, activation="relu", name="hidden"),
            layers.Dense(CLASSES, activation="softmax", name="last"),
        ]
    )
    plain = tf.keras.Sequential([layers.Input((SIDE, SIDE, 3)), layers.ReLU()])
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (24, SIDE, SIDE, 3), np.uint8)

    def write(name: str, converter: Any) -> None:
        (folder / name).write_bytes(converter.convert())

    write("float.tflite", tf.lite.TFLiteConverter.from_keras_model(net))
    write("plain.tflite", tf.lite.TFLiteConverter.from_keras_model(plain))
    integer = tf.lite.TFLiteConverter.from_keras_model(net)
    integer.optimizations = [tf.lite.Optimize.DEFAULT]
    integer.representative_dataset = lambda: ([i[None].astype(np.float32)] for i in images)
    integer.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    write("int8.tflite", integer)

    net.save(folder / "net.keras")
    np.save(folder / "images.npy", ((images - 127.5) / 64).astype(np.float32))
    (folder / "images").mkdir()
    lines = ["file,label"]
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / "images" / f"{i:02}.png")
        lines.append(f"{i:02}.png,{i % CLASSES}")
    (folder / "images" / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "how.json").write_text(json.dumps(PREPROCESSING), encoding="utf-8")
