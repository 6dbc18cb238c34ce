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
    for cpu, value in (("A family 26", 1), ("B family 6 model 2", 2), ("A family 26", 3)):
        coefficients.store("avx2", {"machine": f"machine {value}", "cpu": cpu, "value": value})
    for value in (4, 5):  # computed, not measured
        coefficients.store("neon", {"machine": f"core {value}", "value": value})
    return coefficients


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        ("A family 26", 3),
        ("A family 26 model 17", 3),
        ("A family 261", 3),
        ("B family 6 model 2", 2),
        ("B family 6 model 20", 3),
        ("elsewhere", 3),
    ],
)
def test_this_machine_comes_before_the_first(stored, monkeypatch, here, expected):
    monkeypatch.setattr(machine, "cpu_id", lambda: here)
    assert stored.of("avx2")["value"] == expected
    assert stored.of("neon")["value"] == 5


def test_a_processor_is_stored_once(stored):
    kernels = json.loads(stored.path.read_text(encoding="utf-8"))["kernels"]
    assert [entry["value"] for entry in kernels["avx2"]] == [3, 2]
    assert [entry["value"] for entry in kernels["neon"]] == [5]
    stored.store("avx2", {"machine": "machine 6", "cpu": "A family 26 model 17", "value": 6})
    assert json.loads(stored.path.read_text(encoding="utf-8"))["kernels"]["avx2"][0]["value"] == 6
    assert stored.kernels() == ["avx2", "neon"]


def test_a_kernel_without_coefficients(stored):
    with pytest.raises(ConfigError, match="no cost model of the kernel 'x'; there is one of avx2"):
        stored.of("x")


def test_float_and_quantized_times_are_of_the_same_machines():
    def machines(coefficients: Coefficients) -> dict[str, list[str]]:
        kernels = json.loads(coefficients.path.read_text(encoding="utf-8"))["kernels"]
        return {kernel: [entry["machine"] for entry in kernels[kernel]] for kernel in kernels}

    assert machines(cost_model.COEFFICIENTS) == machines(float_cost.COEFFICIENTS)
