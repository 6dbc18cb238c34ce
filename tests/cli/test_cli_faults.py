"""Full disks, read-only folders, vanished files, corrupted caches, two processes: a sentence, nothing lost."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qcnn_tflite.calibration import images as calibration_images
from qcnn_tflite.errors import ModelError, OutputExistsError
from qcnn_tflite.files import write_atomically
from qcnn_tflite.graph import read_model
from qcnn_tflite.measurement import making
from qcnn_tflite.measurement.family import Recipe, open_family

KILL = Path(__file__).parents[1] / "faults" / "kill.py"
# One short search: these tests are about what is left, not about how well it was learned.
QUICK = json.dumps(
    {
        "layers": {"*": {"d": 4, "K": 16}},
        "learning": {
            "conv_damping": [0.1],
            "fc_damping": [1.0],
            "conv_scale": [0.5],
            "fc_scale": [1.0],
            "sweeps": 1,
        },
    }
)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of temporary files of the test's own, so that whatever stays is seen."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_killed_at_random_moments() -> None:
    """The 200 of docs/reliability.md are as many calls of the same."""
    done = subprocess.run(
        [sys.executable, str(KILL), "--kills", "7"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    works = {work["work"]: work for work in json.loads(done.stdout)}
    assert works["convert"]["kills"] == 3 and works["download"]["kills"] == 2


def test_no_room_for_the_calibration_cache(
    nets: Path, working_folder: Path, temporary: Path
) -> None:
    """By a limit on file size: that needs no privilege, and fails where a full disk does."""
    arguments = ["convert", str(nets / "float.tflite"), "--calibration", str(nets / "images.npy"),
                 "--config", QUICK, "--jobs", "1"]  # fmt: skip
    # -B: the limit would cut the caches of modules short, too.
    done = subprocess.run(
        [sys.executable, "-B", "-m", "qcnn_tflite.cli", *arguments],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no room for the calibration cache in" in done.stderr
    assert "(File too large); free some space, set TMPDIR to another disk" in done.stderr
    assert os.listdir(working_folder) == os.listdir(temporary) == []


def test_an_output_in_a_folder_that_takes_none(convert, nets, temporary):
    # /proc takes no files from anybody, root neither.
    done = convert(nets / "float.tflite", "--config", QUICK, "--calibration", nets / "images.npy",
                   "-o", "/proc/x.tflite")  # fmt: skip
    assert done.code == 2
    assert "x.tflite" in done.err and "choose another" in done.err
    assert os.listdir(temporary) == []


def test_no_folder_for_temporary_files(convert, nets, working_folder, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/proc")
    done = convert(nets / "float.tflite", "--calibration", nets / "images.npy", "--config", QUICK)
    assert done.code == 2
    assert "no temporary folder can be made" in done.err and "TMPDIR" in done.err
    assert os.listdir(working_folder) == []


def test_a_cache_that_cannot_be_written(command, nets, monkeypatch):
    monkeypatch.setenv("QCNN_TFLITE_CACHE", "/proc/cache")
    done = command("benchmark", nets / "float.tflite", "--variants", "float,q", "--runs", 2)
    assert "/proc/cache" in done.err + done.out
    assert "Traceback" not in done.err
    monkeypatch.setenv("QCNN_TFLITE_MIRROR", "http://127.0.0.1:9")
    done = command("convert", "alexnet")
    assert done.code == 2 and "could not be downloaded" in done.err


def test_an_image_that_vanishes_meanwhile(convert, nets, working_folder, temporary, monkeypatch):
    folder = working_folder / "images"
    shutil.copytree(nets / "images", folder)
    found = calibration_images.CalibrationImages.batches

    def batches(self, *arguments, **options):
        (folder / "07.png").unlink(missing_ok=True)
        return found(self, *arguments, **options)

    monkeypatch.setattr(calibration_images.CalibrationImages, "batches", batches)
    done = convert(nets / "float.tflite", "--calibration", folder, "--config", QUICK,
                   "--preprocessing", nets / "how.json")  # fmt: skip
    assert done.code == 2
    assert "07.png" in done.err and "Traceback" not in done.err
    assert os.listdir(working_folder) == ["images"] and os.listdir(temporary) == []


def test_a_corrupted_file_in_the_benchmarks_cache(command, nets, working_folder, monkeypatch):
    monkeypatch.setenv("QCNN_TFLITE_CACHE", str(working_folder / "cache"))
    arguments = ("benchmark", nets / "float.tflite", "--variants", "float,q", "--runs", 2,
                 "--config", QUICK)  # fmt: skip
    assert command(*arguments).code == 0
    (made,) = (working_folder / "cache").rglob("*-q-*.tflite")
    whole = made.read_bytes()
    made.write_bytes(whole[: len(whole) // 2])
    assert command(*arguments).code == 0
    assert made.read_bytes() == whole


def test_two_processes_make_the_same_file_of_a_cache(nets, tmp_path, monkeypatch):
    """The one that comes second takes the other's."""

    def late(float_path: Path, path: Path, options: object) -> None:
        write_atomically(path, (nets / "float.tflite").read_bytes())  # the other process
        raise OutputExistsError(f"{path} appeared while it was being made")

    monkeypatch.setattr(making, "in_own_process", lambda what, function, *a: late(*a))
    left_out: list[tuple[str, str]] = []
    family = open_family(
        str(nets / "float.tflite"), None, ["float", "q"], Recipe(folder=tmp_path / "cache"),
        lambda *a: left_out.append(a), lambda _: None,
    )  # fmt: skip
    assert not left_out and len(family.files) == 2


def test_two_conversions_to_the_same_output(convert, nets, working_folder):
    output = working_folder / "net-q.tflite"
    with ThreadPoolExecutor(2) as pool:
        codes = list(
            pool.map(lambda _: write(output, (nets / "float.tflite").read_bytes()), range(2))
        )
    assert sorted(codes) == [False, True]
    assert os.listdir(working_folder) == ["net-q.tflite"]
    read_model(output)


def write(path: Path, data: bytes) -> bool:
    try:
        write_atomically(path, data)
    except OutputExistsError:
        return False
    return True


def test_a_model_that_vanishes_is_a_sentence(nets):
    with pytest.raises(ModelError, match="there is no such file"):
        read_model(nets / "vanished.tflite")
