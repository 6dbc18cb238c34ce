"""Outputs appear whole or not at all, and replace nothing unasked."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from qcnn_tflite.errors import OutputError, OutputExistsError, QcnnError
from qcnn_tflite.files import ScratchFolder, check_output, try_lock, write_atomically

_DATA = bytes(range(256)) * 1024


def test_writes_the_bytes_and_nothing_else(tmp_path):
    path = tmp_path / "a.bin"
    assert write_atomically(path, _DATA) == path
    assert path.read_bytes() == _DATA
    assert os.listdir(tmp_path) == ["a.bin"]


def test_permissions_are_those_of_an_ordinary_file(tmp_path):
    (tmp_path / "plain").touch()
    path = write_atomically(tmp_path / "a.bin", b"x")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_replaces_only_when_asked(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(OutputExistsError, match="exists already; choose another name"):
        write_atomically(path, _DATA)
    assert path.read_bytes() == b"old"
    write_atomically(path, _DATA, overwrite=True)
    assert path.read_bytes() == _DATA
    assert os.listdir(tmp_path) == ["a.bin"]


def test_errors_are_of_this_package_and_of_the_system(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(FileExistsError) as caught:
        check_output(tmp_path / "a")
    assert isinstance(caught.value, QcnnError)
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="does not exist; create it first"):
        check_output(tmp_path / "no" / "a")


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.bin", _DATA)
    assert os.listdir(tmp_path) == []


def test_a_file_that_appears_meanwhile_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    monkeypatch.setattr(os, "fsync", lambda _: path.write_bytes(b"other"))
    with pytest.raises(OutputExistsError, match="appeared"):
        write_atomically(path, _DATA)
    assert path.read_bytes() == b"other"
    assert os.listdir(tmp_path) == ["a.bin"]


_WRITE = """
import sys
import tempfile
import time
from pathlib import Path
from qcnn_tflite.errors import OutputError
from qcnn_tflite.files import write_atomically
try:
    write_atomically(sys.argv[1], bytes(1 << 20), overwrite=True)
except OutputError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_write_cut_short_leaves_what_was_there(tmp_path, old):
    """By a limit on file size: that needs no privilege, and fails where a full disk does."""
    path = tmp_path / "a.bin"
    if old:
        path.write_bytes(old)
    limit = (4096, 4096)
    # -B: the limit would cut the caches of modules short, too, for whoever imports them next.
    done = subprocess.run(
        [sys.executable, "-B", "-c", _WRITE, str(path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "could not be written (File too large); free some space" in done.stderr
    assert os.listdir(tmp_path) == (["a.bin"] if old else [])
    assert not old or path.read_bytes() == old


def age(path: Path) -> None:
    os.utime(path, (time.time() - 3600,) * 2)


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    left, other = tmp_path / ".a.bin.xyz.part", tmp_path / ".b.bin.xyz.part"
    for part in (left, other):
        part.write_bytes(b"half")
        age(part)
    young = tmp_path / ".a.bin.new.part"
    young.touch()
    write_atomically(tmp_path / "a.bin", _DATA)
    assert sorted(os.listdir(tmp_path)) == sorted(["a.bin", other.name, young.name])


def test_what_another_process_is_writing_is_left_alone(tmp_path):
    part = tmp_path / ".a.bin.xyz.part"
    with part.open("wb") as file:
        assert try_lock(file)
        age(part)
        write_atomically(tmp_path / "a.bin", _DATA)
        assert part.exists()
    write_atomically(tmp_path / "a.bin", _DATA, overwrite=True)
    assert os.listdir(tmp_path) == ["a.bin"]


def test_scratch_folders_of_killed_processes_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept = tmp_path / "mine-0"  # no lock: not one of ours
    kept.mkdir()
    dead = tmp_path / "mine-1"
    dead.mkdir()
    (dead / "lock").touch()
    (dead / "array").write_bytes(_DATA)
    (tmp_path / "mine-2").symlink_to(kept)
    first = ScratchFolder("mine-")
    second = ScratchFolder("mine-")
    names = {kept.name, "mine-2", Path(first.name).name, Path(second.name).name}
    assert set(os.listdir(tmp_path)) == names
    first.cleanup()
    second.cleanup()
    assert sorted(os.listdir(tmp_path)) == ["mine-0", "mine-2"]
