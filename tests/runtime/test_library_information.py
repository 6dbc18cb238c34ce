"""The native library tells its kernels, and what its layers hold."""

from __future__ import annotations

import gc

import pytest
from runtime_models import Conv, Fc, convert

from qcnn_tflite import Interpreter
from qcnn_tflite.errors import RuntimeMissingError
from qcnn_tflite.runtime import kernels, library, memory_usage, selected_kernel


def test_every_kernel_has_a_fate():
    found = kernels()
    assert sorted(k.name for k in found) == sorted(library.KERNELS)
    chosen = [k for k in found if k.chosen]
    assert [k.name for k in chosen] == [selected_kernel()]
    assert chosen[0] == next(k for k in found if k.available)
    for kernel in found:
        assert kernel.built == bool(kernel.features)
        assert kernel.built or not kernel.available


@pytest.mark.parametrize(
    ("kernel", "text"),
    [
        (library.KernelInfo("a", "X, Y", True, True, True), "a: chosen; needs X, Y"),
        (library.KernelInfo("a", "X", True, True, False), "a: available; needs X"),
        (library.KernelInfo("a", "X", True, False, False), "a: not on this CPU; needs X"),
        (library.KernelInfo("a", "", False, False, False), "a: not in this build"),
    ],
)
def test_a_kernel_as_text(kernel, text):
    assert str(kernel) == text


def test_memory_is_that_of_the_layers_alive():
    gc.collect()
    before = memory_usage()
    small = Interpreter(model_content=convert(Fc().add))
    small.allocate_tensors()
    with_one = memory_usage().since(before)
    assert with_one.packed > 0
    large = Interpreter(model_content=convert(Conv(channels=60, outputs=100).add))
    large.allocate_tensors()
    with_two = memory_usage().since(before)
    # A code of the kernel and position at least.
    assert with_two.packed - with_one.packed >= 100 * 9 * 60 / 20
    assert with_two.scratch > with_one.scratch
    del large
    gc.collect()
    assert memory_usage().since(before) == with_one


def test_a_library_without_the_functions_is_refused(monkeypatch, tmp_path):
    file = tmp_path / "libqcnn_ops.so"
    file.write_bytes(b"no library")
    monkeypatch.setenv(library.ENVIRONMENT, str(file))
    for ask in (kernels, memory_usage, selected_kernel):
        with pytest.raises(RuntimeMissingError, match="cannot be loaded"):
            ask()
