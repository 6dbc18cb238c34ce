"""One command measures every form of a model; what fails or is interrupted leaves the rest, and says so."""

from __future__ import annotations

import json
import sys
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest
import small_network
from PIL import Image

from benchmarks import __main__ as together
from benchmarks.validate import problems
from qcnn_tflite.cli import main
from qcnn_tflite.measurement import making, peers, run
from qcnn_tflite.measurement.entry import Settings
from qcnn_tflite.measurement.layers import measure_layers

HOW = json.dumps(
    {
        "resize": "squash", "size": [20, 20], "crop": [20, 20], "channels": "RGB",
        "scale": 1.0, "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0],
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """net.tflite, images for calibration, and others labelled as the float network answers."""
    found = tmp_path_factory.mktemp("session")
    model = small_network.float_model()
    (found / "net.tflite").write_bytes(model)
    np.save(found / "calibration.npy", small_network.images(16, seed=1))
    images = small_network.images(24, seed=2)
    labels = small_network.logits(model, images).argmax(axis=1)
    np.savez(found / "labelled.npz", images=images, labels=labels)
    return found


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(making, "in_own_process", lambda _, function, *rest: function(*rest))


@pytest.fixture
def benchmark(folder):
    """The command on net.tflite."""

    def command(*arguments: object) -> int:
        words = ["benchmark", folder / "net.tflite", "--work", folder / "work", *arguments]
        return main([str(word) for word in words])

    return command


@pytest.mark.filterwarnings("ignore")  # what the quantizer has to say
def test_every_form_of_a_model(benchmark, folder, tmp_path, capsys):
    pytest.importorskip("litert_quantizer")
    output, pictures = tmp_path / "out.json", tmp_path / "pictures"
    arguments = [
        "--calibration", folder / "calibration.npy", "--images", folder / "labelled.npz",
        "--preprocessing", HOW, "--variants", "float,float16,dynamic,int8,q", "--runs", 4,
        "--layers", "-o", output, "--pictures", pictures,
    ]  # fmt: skip
    assert benchmark(*arguments) == 0
    document = json.loads(output.read_text())
    assert problems(document, strict=True) == []
    results = document["results"]
    found = [(r["variant"], r["lrn"]) for r in results]
    stock = ["float", "float16", "int8 weights", "int8"]
    assert found == [(v, n) for v in stock for n in ("stock", "ours")] + [("q", "ours")]
    assert {r["model"] for r in results} == {"net"}
    assert len({r["date"] for r in results}) == 1
    sizes = {r["variant"]: r["sizes"]["file"] for r in results}
    assert sizes["float"] > 1.8 * sizes["float16"] > 1.8 * sizes["int8"]
    assert sizes["q"] < sizes["float"]
    for result in results:
        accuracy = result["accuracy"]
        assert accuracy["images"] == 24
        assert accuracy["agreement"] == accuracy["top1"]  # the labels are float's answers
        low, high = accuracy["top1_interval"]
        assert low <= accuracy["top1"] <= high
        if result["variant"] == "float":
            assert accuracy["top1"] == 1
        else:
            assert accuracy["top1"] > 0.3  # of ten classes
    layers = {layer["name"]: layer for layer in results[-1]["layers"]}
    dense = next(layer for layer in layers.values() if layer["op"] == "QFC")
    # fc1 reads what a 3x3 convolution makes of 5x5 positions: 3x3 of 32 channels.
    assert dense["float_ops"] == 3 * 3 * 32 * 64
    printed = capsys.readouterr().out
    assert "| top-1 |" in printed
    assert "| same first class as float |" in printed
    names = {path.name for path in pictures.iterdir()}
    kinds = ("latency", "size", "layers", "speedup")
    expected = {f"net-1t-{kind}" for kind in kinds} | {"accuracy-size"}
    assert names == {f"{name}.{suffix}" for name in expected for suffix in ("svg", "png")}
    for name in expected:
        ElementTree.parse(pictures / f"{name}.svg")
        assert Image.open(pictures / f"{name}.png").size[0] > 800

    # Made files are kept, and asked for again by what they were made of.
    made = {path: path.stat().st_mtime_ns for path in (folder / "work").iterdir()}
    assert len(made) == 4
    assert benchmark(*arguments, "-f", "--json", "--limit", 2) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["accuracy"]["images"] == 2
    assert {path: path.stat().st_mtime_ns for path in (folder / "work").iterdir()} == made


def test_unlabelled_images_give_agreement_and_unreadable_ones_are_counted(
    benchmark, folder, tmp_path, capsys
):
    random = np.random.default_rng(0)
    for i in range(3):
        pixels = random.integers(0, 256, (20, 20, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    (tmp_path / "3.png").write_bytes(b"no picture")
    arguments = ["--variants", "float", "--runs", 1, "--json", "--preprocessing", HOW]
    assert benchmark(*arguments, "--images", tmp_path) == 0
    printed = capsys.readouterr()
    (accuracy, _) = (r["accuracy"] for r in json.loads(printed.out)["results"])
    assert accuracy == {"images": 3, "agreement": 1.0, "unreadable": 1}
    assert "1 images of" in printed.err
    # Without a word on how images are prepared, times are measured all the same.
    assert benchmark(*arguments[:-2], "--images", tmp_path) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["left_out"][0]["variant"] == "accuracy"
    assert "preprocessing" in document["left_out"][0]["reason"]


def test_an_interrupt_keeps_what_was_measured(benchmark, monkeypatch, tmp_path, capsys):
    real = run.interleave

    def interrupted(*arguments, advance, **options):
        def stop(blocks: int) -> None:
            raise KeyboardInterrupt

        return real(*arguments, advance=stop, **options)

    monkeypatch.setattr(run, "interleave", interrupted)
    output = tmp_path / "out.json"
    assert benchmark("--variants", "float", "--runs", 20, "-o", output) == 130
    document = json.loads(output.read_text())
    assert problems(document, strict=True) == []
    assert [r["partial"] for r in document["results"]] == ["5 of 20 runs: interrupted"] * 2
    printed = capsys.readouterr()
    assert "is partial, 5 of 20 runs: interrupted" in printed.out
    assert "marked as partial" in printed.err


def test_one_model_of_several_fails(folder, tmp_path, capsys):
    output = tmp_path / "out.json"
    words = ["benchmark", "nonesuch", folder / "net.tflite", tmp_path / "absent.tflite"]
    words += ["--variants", "float", "--runs", 1, "--stock-lrn", "-o", output]
    assert main([str(word) for word in words]) == 2
    document = json.loads(output.read_text())
    assert [r["variant"] for r in document["results"]] == ["float"]
    assert [e["variant"] for e in document["left_out"]] == ["all", "all"]
    assert "there is no such file" in document["left_out"][1]["reason"]
    printed = capsys.readouterr()
    assert "nonesuch" in printed.err
    assert "Not measured:" in printed.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--variants", "int4"], "--variants: expected some of float"),
        (["--peers", "nonesuch"], "--peers: expected some of openvino"),
        (["--device", "adb", "--layers"], "measured on this machine"),
        (["--device", "phone"], "expected adb, adb:SERIAL"),
        (["--reference", "net.tflite"], "there is no such file"),
        (["--device", "ios:x.json"], "leave the models out"),
        (["-o", "absent/out.json"], "does not exist"),
        (["--pictures", sys.executable], "is a file; give a folder"),
        (["--weights", "random"], "--weights are for named models only"),
    ],
)
def test_bad_requests(benchmark, capsys, arguments, words):
    assert benchmark("--variants", "float", "--runs", 1, *arguments) == 2
    assert words in capsys.readouterr().err


def test_int8_without_its_quantizer_is_left_out(benchmark, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "litert_quantizer", None)
    words = ["--variants", "float,int8", "--stock-lrn", "--runs", 1, "--json", "--work", tmp_path]
    assert benchmark(*words) == 0
    document = json.loads(capsys.readouterr().out)
    assert [r["variant"] for r in document["results"]] == ["float"]
    (missing,) = document["left_out"]
    assert missing["variant"] == "int8"
    assert "pip install litert-quantizer" in missing["reason"]
    assert list(tmp_path.iterdir()) == []


def test_absent_peers_are_named(folder, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(peers.RUNTIMES, "ncnn", ("ncnn", ("qcnn-no-such-package",)))
    output = tmp_path / "out.json"
    words = ["benchmarks", folder / "net.tflite", "--variants", "float", "--runs", 1]
    words += ["--peers", "ncnn,onnxruntime", "-o", output]
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    assert together.main() == 0
    left_out = json.loads(output.read_text())["left_out"]
    assert left_out[0]["variant"] == "float (ncnn)"
    assert "pip install qcnn-no-such-package" in left_out[0]["reason"]
    assert "left out" in capsys.readouterr().err


def test_layers_of_another_network_are_refused(folder, tmp_path):
    import qcnn_tflite

    other = tmp_path / "other-q.tflite"
    qcnn_tflite.convert("fashion_alexnet", other, weights="random", jobs=1)
    with pytest.raises(qcnn_tflite.ModelError, match="made from"):
        measure_layers(folder / "net.tflite", other, Settings())


def test_the_runtime_s_warning_of_what_the_quantizer_does_is_kept_back(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for text in ("Warning: Enabling `experimental_preserve_all_tensors` with", "another"):
            making._quietly(warnings.warn, text)
    assert [str(warning.message) for warning in caught] == ["another"]
