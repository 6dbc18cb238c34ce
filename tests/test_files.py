"""Outputs appear whole or not at all, and replace nothing unasked."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from qcnn_tflite.errors import OutputError, OutputExistsError, QcnnError
from qcnn_tflite.files import check_output, write_atomically

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
    done = subprocess.run(
        [sys.executable, "-c", _WRITE, str(path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "could not be written (File too large); free some space" in done.stderr
    assert os.listdir(tmp_path) == (["a.bin"] if old else [])
    assert not old or path.read_bytes() == old
