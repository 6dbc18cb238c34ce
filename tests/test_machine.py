"""The description of the machine is complete, and does not guess."""

from __future__ import annotations

import pytest

from qcnn_tflite import machine


def test_describe_is_complete():
    described = machine.describe()
    assert described["cpu"]
    assert described["cpus"] >= 1
    assert described["instruction_set"]
    assert machine.versions()["numpy"]


@pytest.mark.parametrize(
    ("key", "flags", "expected"),
    [
        ("flags", "fpu sse4_2 avx2 fma", "AVX2"),
        ("flags", "sse4_2 avx2 fma avx512f avx512bw", "AVX-512"),
        ("flags", "avx2 fma avx512f avx512bw avx512_vnni", "AVX-512 VNNI"),
        ("flags", "sse4_2 avx2", "SSE4.2"),
        ("Features", "fp asimd", "NEON"),
        ("Features", "fp asimd asimddp", "NEON dotprod"),
    ],
)
def test_instruction_set_from_cpuinfo(monkeypatch, key, flags, expected):
    monkeypatch.setattr(machine, "_cpuinfo", lambda: {key: flags, "model name": "Test 1"})
    assert machine.instruction_set() == expected
    assert machine.cpu_name() == machine.cpu_id() == "Test 1"


def test_processors_are_told_apart_where_their_names_do_not(monkeypatch):
    text = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 207\nmodel name\t: Xeon\n"
    monkeypatch.setattr(machine, "_cpuinfo", lambda: machine._parsed(text))
    assert machine.cpu_id() == "GenuineIntel family 6 model 207"
    text = "CPU implementer\t: 0x41\nCPU part\t: 0xd0b\n"
    monkeypatch.setattr(machine, "_cpuinfo", lambda: machine._parsed(text))
    assert machine.cpu_id() == "implementer 0x41 part 0xd0b"
