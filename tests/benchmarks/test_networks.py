"""The README's table: several networks in one file, with one thread and two; what is missing is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import small_network

from benchmarks import accuracy_at_size, networks
from benchmarks.validate import problems
from qcnn_tflite.calibration.preprocessing import Preprocessing
from qcnn_tflite.measurement import making
from qcnn_tflite.measurement.family import Recipe

CONFIG = {"preset": "paper", "min_weights": 500, "conv": {"d": 4, "K": 16}, "fc": {"d": 4, "K": 16}}


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(making, "in_own_process", lambda _, function, *rest: function(*rest))


def run(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["networks", *map(str, arguments)])
    return networks.main()


@pytest.mark.filterwarnings("ignore")  # what the quantizer has to say
def test_one_thread_and_two(monkeypatch, tmp_path, capsys):
    pytest.importorskip("litert_quantizer")
    model = small_network.float_model()
    (tmp_path / "small.tflite").write_bytes(model)
    np.save(tmp_path / "calibration.npy", small_network.images(16, seed=1))
    images = small_network.images(24, seed=2)
    labels = small_network.logits(model, images).argmax(axis=1)
    np.savez(tmp_path / "labelled.npz", images=images, labels=labels)

    def subject(name, packages, work):
        plain = Preprocessing(size=(20, 20), scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)
        recipe = Recipe(CONFIG, str(tmp_path / "calibration.npy"), plain, folder=work)
        return networks.Subject(
            str(tmp_path / "small.tflite"), recipe, str(tmp_path / "labelled.npz")
        )

    monkeypatch.setattr(networks, "subject", subject)
    output = tmp_path / "results.json"
    assert run(monkeypatch, "alexnet", "-o", output, "--runs", 5, "--work", tmp_path / "work") == 0
    document = json.loads(output.read_text())
    assert not problems(document)
    assert {(r["variant"], r["threads"]) for r in document["results"]} == {
        (variant, threads) for variant in ("float", "int8", "q") for threads in (1, 2)
    }
    for result in document["results"]:
        once = result["threads"] == 1
        assert ("accuracy" in result) == once and ("memory" in result) == once
    floats = [r for r in document["results"] if r["variant"] == "float" and r["threads"] == 1]
    assert floats[0]["accuracy"]["top1"] == 1.0
    table = capsys.readouterr().out
    assert "| small | 1 |" in table and "| small | 2 |" in table
    # Not again over it, unless asked to.
    assert run(monkeypatch, "alexnet", "-o", output) == 2


def test_what_is_missing_is_left_out_by_name(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(accuracy_at_size, "DATA", tmp_path / "nothing")
    output = tmp_path / "results.json"
    assert run(monkeypatch, "paper", "resnet50", "-o", output, "--packages", tmp_path) == 2
    printed = capsys.readouterr().out
    assert "left out: paper" in printed and "left out: resnet50" in printed


def test_an_unknown_network_is_refused(monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "alexnet9000", "-o", tmp_path / "results.json")
    assert "alexnet9000" in capsys.readouterr().err


def test_an_interrupt_says_what_is_kept(monkeypatch, tmp_path, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(networks.Session, "_measure", interrupted)
    output = tmp_path / "results.json"
    assert run(monkeypatch, "alexnet", "-o", output) == 130
    assert "nothing is finished yet" in capsys.readouterr().err
    assert not output.exists()
