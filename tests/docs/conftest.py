"""The files that every page's blocks find: a small network, images, a photograph."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qcnn_tflite import Preprocessing
from qcnn_tflite.models.assemble import assemble
from qcnn_tflite.models.networks import Conv, Dense, Network, Pool
from qcnn_tflite.models.weights import random_weights

CLASSES = 7


def _network(side: int, stride: int) -> Network:
    return Network(
        (side, side, 3),
        (
            Conv("conv1", 16, 3, stride=stride, pad=1),
            Conv("conv2", 16, 3, pad=1),
            Pool(4, 4),
            Dense("fc6", 32),
            Dense("fc7", 80),
            Dense("fc8"),
        ),
        classes=CLASSES,
    )


@pytest.fixture(scope="session")
def basics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.tflite, mobilenet.tflite (without metadata), photos/, more-photos/, val/ (labelled), cat.jpg."""
    folder = tmp_path_factory.mktemp("basics")
    network = _network(16, 1)
    prepare = Preprocessing((16, 16), mean=(127.5,) * 3, std=(64.0,) * 3)
    labels = [f"class {i}" for i in range(CLASSES)]
    metadata = {
        "input": prepare.to_metadata(),
        "output": {"softmax_applied": True, "labels": labels},
    }
    data = assemble(network, random_weights(network, 0), name="net", metadata=metadata)
    (folder / "net.tflite").write_bytes(data)
    large = _network(224, 14)
    data = assemble(large, random_weights(large, 1), name="mobilenet")
    (folder / "mobilenet.tflite").write_bytes(data)
    rng = np.random.default_rng(0)

    def photo() -> Image.Image:
        coarse = rng.integers(0, 256, (4, 5, 3), np.uint8)
        return Image.fromarray(coarse).resize((40, 32), Image.Resampling.BILINEAR)

    for name, count in (("photos", 24), ("more-photos", 30), ("val", 14)):
        (folder / name).mkdir()
        for i in range(count):
            photo().save(folder / name / f"{i}.png")
    rows = "".join(f"{i}.png,{i % CLASSES}\n" for i in range(14))
    (folder / "val" / "labels.csv").write_text(f"file,label\n{rows}")
    photo().save(folder / "cat.jpg")
    return folder


@pytest.fixture
def new_folder(basics: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes another folder with those files."""
    made: list[Path] = []

    def make() -> Path:
        folder = tmp_path / str(len(made))
        shutil.copytree(basics, folder)
        made.append(folder)
        return folder

    return make
