"""quickstart: its folder appears with everything in it, or not at all."""

from __future__ import annotations

import functools
import json
import os

import pytest
from PIL import Image

import qcnn_tflite


@pytest.fixture
def quick(monkeypatch):
    """Leaves error correction out: it is tested elsewhere and takes a minute here."""
    real = qcnn_tflite.convert

    def convert(*arguments, calibration=None, **options):
        assert str(calibration).endswith(".npz")
        return real(*arguments, jobs=1, **options)

    monkeypatch.setattr(qcnn_tflite, "convert", convert)
    monkeypatch.setattr(qcnn_tflite, "evaluate", functools.partial(qcnn_tflite.evaluate, limit=200))


def test_quickstart_leaves_models_figures_and_a_picture(command, quick):
    done = command("quickstart", "--no-large", "--json")
    assert done.code == 0, done.err
    assert os.listdir(".") == ["qcnn-quickstart"]
    assert sorted(os.listdir("qcnn-quickstart")) == [
        "fashion_alexnet-q.tflite",
        "fashion_alexnet.tflite",
        "quickstart.png",
        "results.json",
    ]
    with open("qcnn-quickstart/results.json", encoding="utf-8") as file:
        results = json.load(file)
    assert done.json == {"folder": "qcnn-quickstart", **results}
    small = results["small"]
    assert small["evaluation"]["images"] == 200
    assert small["evaluation"]["reference_top1"] > 0.85
    assert small["conversion"]["compression"] > 10
    assert small["benchmark"]["speedup"] > 0
    with Image.open("qcnn-quickstart/quickstart.png") as picture:
        assert picture.size == (1200, 620)

    again = command("quickstart", "--no-large")
    assert again.code == 2
    assert "exists already" in again.err
    with open("qcnn-quickstart/mine.txt", "w", encoding="utf-8") as file:
        file.write("mine")
    text = command("quickstart", "--no-large", "-f")
    assert text.code == 0
    assert "== timing both in turn" in text.out
    assert "mine.txt" in os.listdir("qcnn-quickstart")
    assert os.listdir(".") == ["qcnn-quickstart"]


def test_an_interrupted_quickstart_leaves_nothing(command, quick, monkeypatch):
    def interrupt(*_: object) -> None:
        assert any("qcnn-quickstart" in name for name in os.listdir("."))
        raise KeyboardInterrupt

    monkeypatch.setattr(qcnn_tflite, "evaluate", interrupt)
    done = command("quickstart", "--no-large")
    assert done.code == 130
    assert "interrupted" in done.err
    assert os.listdir(".") == []
