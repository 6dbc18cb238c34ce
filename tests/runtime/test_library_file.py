"""The native library as a file: what it asks of its host and of the system."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

import qcnn_tflite

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not shutil.which("readelf"),
    reason="needs Linux and readelf (binutils)",
)


def readelf(*arguments: str) -> str:
    command = ["readelf", "--wide", *arguments, str(qcnn_tflite.library_path())]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def symbols() -> list[tuple[str, bool]]:
    """(name, whether it is defined) of every dynamic symbol."""
    rows = [line.split() for line in readelf("--dyn-syms").splitlines()]
    return [(row[7], row[6] != "UND") for row in rows if len(row) >= 8 and row[0][:-1].isdigit()]


def test_nothing_of_tensorflow_is_imported():
    imported = [name for name, defined in symbols() if not defined]
    assert imported
    assert [name for name in imported if "tflite" in name.lower()] == []


def test_only_the_public_functions_are_exported():
    exported = {name for name, defined in symbols() if defined and not name.startswith("_Z")}
    assert exported == {
        "qcnn_check_model",
        "qcnn_delegate_create",
        "qcnn_delegate_delete",
        "qcnn_kernels",
        "qcnn_memory",
        "qcnn_read_mean_image",
        "qcnn_read_metadata",
        "qcnn_register_ops",
        "qcnn_register_ops_with",
        "qcnn_selected_kernel",
        "qcnn_version",
        "tflite_plugin_create_delegate",
        "tflite_plugin_destroy_delegate",
    }


def test_it_loads_on_systems_with_pages_of_16_kib():
    loads = [line.split() for line in readelf("--program-headers").splitlines() if " LOAD " in line]
    assert loads
    assert all(int(row[-1], 16) >= 16384 for row in loads)
