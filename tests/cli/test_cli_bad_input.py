"""Whatever is wrong with the input: one sentence, exit code 2, and no file left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image


def _refused(done, *words: str) -> None:
    """One sentence on stderr that holds `words`, nothing on stdout, nothing in the folder."""
    assert done.code == 2, done
    assert done.out == ""
    assert "Traceback" not in done.err
    lines = done.err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("qcnn-tflite: ")
    for word in words:
        assert word in done.err
    assert os.listdir(".") == []


@pytest.mark.parametrize("name", ["convert", "inspect", "benchmark"])
def test_no_file(command, name):
    _refused(command(name, "missing.tflite"), "missing.tflite", "no such file")


@pytest.mark.parametrize("name", ["convert", "inspect", "benchmark"])
def test_a_jpeg_called_tflite(command, tmp_path, name):
    path = tmp_path / "cat.tflite"
    Image.new("RGB", (50, 50)).save(path, "JPEG")
    _refused(command(name, path), "not a TensorFlow Lite model", "ff d8 ff")


@pytest.mark.parametrize("name", ["convert", "inspect", "benchmark"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_model(command, nets, tmp_path, name, share):
    data = (nets / "float.tflite").read_bytes()
    path = tmp_path / "short.tflite"
    path.write_bytes(data[: int(len(data) * share)])
    _refused(command(name, path), "short.tflite", "copy it again")


def test_an_empty_file(convert, tmp_path):
    path = tmp_path / "empty.tflite"
    path.touch()
    _refused(convert(path), "got 0 bytes")


def test_an_int8_model(convert, nets):
    _refused(convert(nets / "int8.tflite"), "quantized already", "float model")


def test_a_model_without_eligible_layers(convert, nets):
    _refused(convert(nets / "plain.tflite"), "no convolution or fully-connected layer")


def test_a_model_that_is_converted_already(convert, nets, tmp_path):
    converted = tmp_path / "q.tflite"
    assert convert(nets / "float.tflite", "-o", converted).code == 0
    _refused(convert(converted), "QConv")


def test_an_unknown_model_name(convert):
    _refused(convert("alexnett"), "alexnet")


def test_a_named_model_without_weights(convert, tmp_path, monkeypatch):
    monkeypatch.setenv("QCNN_TFLITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("QCNN_TFLITE_MIRROR", "http://no-such-host.invalid")
    _refused(convert("alexnet"), "random", "bvlc_alexnet.caffemodel", str(tmp_path / "cache"))
    _refused(convert("resnet50"), "random", "npm pack", str(tmp_path / "cache"))


@pytest.mark.parametrize("config", ["papers", '{"layers": {"hiden": {"K": 8}}}', '{"K": 3}', "{"])
def test_a_bad_configuration(convert, nets, config):
    _refused(convert(nets / "float.tflite", "--config", config))


def test_images_of_the_wrong_shape(convert, nets, tmp_path):
    path = tmp_path / "images.npy"
    np.save(path, np.zeros((4, 9, 9, 3), np.float32))
    done = convert(nets / "float.tflite", "--calibration", path)
    _refused(done, "12", "9")


def test_no_images(command, convert, nets, tmp_path):
    (tmp_path / "none").mkdir()
    for source in (tmp_path / "none", tmp_path / "missing"):
        done = command(
            "convert", nets / "float.tflite", "--calibration", source,
            "--preprocessing", nets / "how.json",
        )  # fmt: skip
        _refused(done, source.name)


def test_an_image_that_is_none(convert, nets, tmp_path):
    shutil.copytree(nets / "images", tmp_path / "images")
    (tmp_path / "images" / "03.png").write_bytes(b"no image")
    done = convert(
        nets / "float.tflite", "--calibration", tmp_path / "images",
        "--preprocessing", nets / "how.json",
    )  # fmt: skip
    _refused(done, "03.png")


def test_images_for_a_model_that_does_not_say_how_they_are_prepared(convert, nets):
    done = convert(nets / "float.tflite", "--calibration", nets / "images")
    _refused(done, "preprocessing")


def test_the_output_exists(command, convert, nets):
    done = convert(nets / "float.tflite")
    assert done.code == 0, done
    assert os.listdir(".") == ["float-q.tflite"]
    with open("float-q.tflite", "wb") as file:
        file.write(b"mine")
    done = convert(nets / "float.tflite")
    assert (done.code, done.out) == (2, "")
    assert "float-q.tflite exists already" in done.err
    assert "-f" in done.err
    with open("float-q.tflite", "rb") as file:
        assert file.read() == b"mine"
    assert convert(nets / "float.tflite", "-f").code == 0
    assert command("inspect", "float-q.tflite").code == 0


def test_the_output_is_refused_before_any_work(command, convert, tmp_path):
    """Even the model need not exist: minutes of learning would be lost otherwise."""
    taken = tmp_path / "taken.tflite"
    taken.touch()
    _refused(convert("missing.tflite", "-o", taken), "exists already")
    _refused(convert("missing.tflite", "-o", tmp_path / "no" / "a"), "does not exist")
    (tmp_path / "qcnn").mkdir()
    _refused(command("quickstart", "-o", tmp_path / "qcnn"), "exists already", "-f")


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 16 KiB; only root may mount one."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    with contextlib.suppress(OSError):
        if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
            yield folder
            subprocess.run(["umount", str(folder)], check=True)
            return
    pytest.skip("this user may not mount a file system; test_files.py covers a write cut short")


def test_a_full_disk(convert, nets, full_disk):
    done = convert(nets / "float.tflite", "-o", full_disk / "q.tflite")
    _refused(done, "No space left", "free some space")
    assert os.listdir(full_disk) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_learning(nets, tmp_path, working_folder, number):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    # Enough sweeps to last for minutes.
    config = '{"learning": {"sweeps": 1000}}'
    process = subprocess.Popen(
        [
            sys.executable, "-m", "qcnn_tflite.cli", "convert", str(nets / "float.tflite"),
            "--calibration", str(nets / "images.npy"), "--config", config,
        ],
        cwd=working_folder,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Who starts the tests in the background of a script has them ignore the interrupt.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        # Its temporary folder appears when learning begins.
        _wait(lambda: os.listdir(temporary) or process.poll() is not None, 60)
        assert process.poll() is None, process.communicate()
        time.sleep(0.5)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert out == ""
    if number == signal.SIGINT:
        assert process.returncode == 130
        # The runtime may have said something of its own before.
        last = err.splitlines()[-1]
        assert last == "qcnn-tflite: interrupted; no unfinished file was left behind"
        assert "Traceback" not in err
    else:
        assert process.returncode == 143
    assert os.listdir(working_folder) == []
    _wait(lambda: not os.listdir(temporary), 10)


def _wait(condition, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["convrt", "x"],
        ["convert"],
        ["convert", "x", "--seed", "y"],
        ["benchmark", "x", "--threads", "0"],
        ["benchmark", "x", "--kernel", "fast"],
        ["benchmark", "x", "--min-speedup", "2"],
        ["evaluate", "x", "y", "--max-drop", "2"],
        ["classify", "x"],
        ["models", "alexnett"],
    ],
)
def test_bad_arguments(command, arguments):
    done = command(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err


def test_times_of_an_unknown_kernel_are_refused(convert, nets):
    _refused(convert(nets / "float.tflite", "--predict-for", "neom"), "'neom' cannot be predicted")
