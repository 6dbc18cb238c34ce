"""Coefficients of several machines in one file."""

from __future__ import annotations

import json

import pytest

from qcnn_tflite import cost_model, float_cost, machine
from qcnn_tflite.coefficients import Coefficients
from qcnn_tflite.errors import ConfigError


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "cost.json"
    coefficients = Coefficients(path, "cost model")
    for name, value in (("A", 1), ("B", 2), ("A", 3)):
        coefficients.store("avx2", {"machine": name, "value": value})
    coefficients.store("neon", {"machine": "C", "value": 4})
    return coefficients


@pytest.mark.parametrize(("here", "expected"), [("A", 3), ("B", 2), ("elsewhere", 3)])
def test_this_machine_comes_before_the_first(stored, monkeypatch, here, expected):
    monkeypatch.setattr(machine, "cpu_name", lambda: here)
    assert stored.of("avx2")["value"] == expected
    assert stored.of("neon")["value"] == 4


def test_a_machine_is_stored_once(stored):
    kernels = json.loads(stored.path.read_text(encoding="utf-8"))["kernels"]
    assert [entry["machine"] for entry in kernels["avx2"]] == ["A", "B"]
    assert stored.kernels() == ["avx2", "neon"]


def test_a_kernel_without_coefficients(stored):
    with pytest.raises(ConfigError, match="no cost model of the kernel 'x'; there is one of avx2"):
        stored.of("x")


def test_float_and_quantized_times_are_of_the_same_machines():
    def machines(coefficients: Coefficients) -> dict[str, list[str]]:
        kernels = json.loads(coefficients.path.read_text(encoding="utf-8"))["kernels"]
        return {kernel: [entry["machine"] for entry in kernels[kernel]] for kernel in kernels}

    assert machines(cost_model.COEFFICIENTS) == machines(float_cost.COEFFICIENTS)
