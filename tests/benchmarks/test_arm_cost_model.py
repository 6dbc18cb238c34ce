"""Cost models of the NEON kernels: the coefficients are those that the loops' cycles make."""

from __future__ import annotations

import shutil

import pytest

from benchmarks import arm_cost_model, arm_mca
from qcnn_tflite import cost_model
from qcnn_tflite.cost_model import ConvLayerShape, predict_ms


class FakeKernels:
    """Loops whose bodies are as many lines as they take cycles."""

    def lookup_3x3(self, half):
        return ["p"] * 4, ["l"] * 12, ["e"] * 2

    def build(self, half, d):
        return ["b"] * (2 * d // 2 + 3), 32

    def convert_words(self):
        return ["w"] * 8, 4

    def flush(self, half):
        return ["f"] * 16

    class fc:
        @staticmethod
        def loop(function, wanted):
            return ["smlal v0.4s, v1.4h, v2.4h"] * 4


class FakeMachine:
    core, mca = "cortex-a76", "llvm-mca"

    def cycles(self, body):
        return float(len(body))


def test_coefficients_are_cycles_by_clock():
    entry = arm_cost_model.kernel_entry(FakeKernels(), FakeMachine(), False, 2.0)
    # 18 cycles of a step less two loops; d more cycles for a codeword, three fixed.
    assert entry["conv"]["lookup"] == 12 / 6 / 2
    assert entry["conv"]["entry_pair"] == 2 / 2
    assert entry["conv"]["entry"] == 3 / 2
    assert entry["conv"]["flush"] == 16 / 32 / 2
    assert entry["fc"]["entry_pair"] == 4 / 8 / 2
    assert entry["window"][2] == 2
    assert (entry["l1"], entry["l2"]) == arm_mca.CORES["cortex-a76"]
    half = arm_cost_model.kernel_entry(FakeKernels(), FakeMachine(), True, 2.0)
    assert half["conv"]["entry"] == entry["conv"]["entry"] + 8 / 4 / 2 / 2


def test_neon_is_predicted_on_every_machine():
    shape = ConvLayerShape((28, 28), (28, 28), 256, 512, (3, 3))
    for kernel in ("neon", "neon_dotprod"):
        assert "llvm-mca" in cost_model.kernel_model(kernel)["source"]
        assert 1 < predict_ms(shape, 128, 8, kernel) < 100


@pytest.mark.skipif(
    not shutil.which(arm_mca.newest("llvm-mca"))
    or not shutil.which(arm_mca.newest("clang++"))
    or arm_mca.newest("clang++") < "clang++-16",
    reason="needs clang and llvm-mca 16 or newer",
)
def test_loops_of_the_kernels_are_found(tmp_path):
    kernels = arm_mca.Kernels(arm_mca.newest("clang++"))
    machine = arm_mca.Machine(arm_mca.newest("llvm-mca"), "cortex-a76")
    entry = arm_cost_model.kernel_entry(kernels, machine, False, 1.0)
    assert 1 < entry["conv"]["lookup"] < 20
    assert 0.05 < entry["fc"]["lookup_32"] < 4
