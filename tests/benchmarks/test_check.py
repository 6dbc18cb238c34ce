"""What the comparison of two result files calls worse, better and noise."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from benchmarks import check
from qcnn_tflite.measurement import documents
from qcnn_tflite.result_document import result


def one(variant: str, ms: float, *, seed: int = 0, spread: float = 0.02, **changes: Any) -> dict:
    random = np.random.default_rng(seed)
    named = {
        key: changes.pop(key) for key in list(changes) if key in ("sizes", "machine", "threads")
    }
    arguments: dict[str, Any] = {
        "model": "net",
        "variant": variant,
        "samples_ms": ms * np.exp(spread * random.standard_normal(50)),
        "load_ms": 1.0,
        "sizes": {"file": 1000, "zipped": 900},
        "runtime": ("ai_edge_litert", "2.3.0"),
        "threads": 1,
        "batch": 1,
        "kernel": None,
        "date": "2026-11-21T14:00:00+00:00",
    }
    return {**result(**{**arguments, **named}), **changes}


def verdicts(before: list[dict], after: list[dict], tolerance: float = 0.0) -> dict[str, str]:
    changes, _ = check.compare(before, after, tolerance)
    return {f"{c.what}: {c.quantity}": c.verdict for c in changes}


def test_a_busier_machine_is_no_slowdown_but_a_slower_kernel_is():
    before = [one("float", 20, seed=1), one("q", 4, seed=2)]
    busier = [one("float", 30, seed=3), one("q", 6, seed=4)]
    assert verdicts(before, busier)["net, q: time by float's"] == ""
    slower = [one("float", 30, seed=3), one("q", 6.6, seed=4)]
    assert verdicts(before, slower)["net, q: time by float's"] == "worse"
    assert verdicts(slower, before)["net, q: time by float's"] == "better"
    assert "net, float: time by float's" not in verdicts(before, slower)


def test_noise_is_what_was_measured():
    quiet = [one("q", 4, seed=1, spread=0.01)], [one("q", 4.2, seed=2, spread=0.01)]
    loud = [one("q", 4, seed=1, spread=0.4)], [one("q", 4.2, seed=2, spread=0.4)]
    assert verdicts(*quiet)["net, q: time, ms"] == "worse"
    assert verdicts(*loud)["net, q: time, ms"] == ""
    assert verdicts(*quiet, tolerance=0.1)["net, q: time, ms"] == ""
    # Equal distributions, many times: about one in twenty is called different.
    called = 0
    for seed in range(0, 120, 2):
        found = verdicts([one("q", 4, seed=seed)], [one("q", 4, seed=seed + 1)])
        called += found["net, q: time, ms"] != ""
    assert called <= 9


def test_sizes_memory_and_accuracy():
    accuracy = {"images": 1000, "top1": 0.70, "top5": 0.90}
    memory = {"peak_rss_bytes": 100_000_000, "runs": 10}
    before = [one("q", 4, accuracy=accuracy, memory=memory)]
    same = [one("q", 4, accuracy={**accuracy, "top1": 0.68}, memory=memory)]
    assert set(verdicts(before, same).values()) == {""}
    worse = [
        one(
            "q",
            4,
            accuracy={**accuracy, "top1": 0.60},
            memory={**memory, "peak_rss_bytes": 110_000_000},
            sizes={"file": 1010, "zipped": 800},
        )
    ]
    found = verdicts(before, worse)
    assert found["net, q: top-1, %"] == "worse"
    assert found["net, q: top-5, %"] == ""
    assert found["net, q: peak memory, bytes"] == "worse"
    assert found["net, q: file, bytes"] == "worse"
    assert found["net, q: zipped, bytes"] == "better"


def test_what_is_not_compared():
    machine = {"cpu": "another", "cpus": 1, "instruction_set": "x", "features": [], "system": "y"}
    before = [one("q", 4), one("int8", 5), one("float", 9, partial="3 of 50 runs: interrupted")]
    after = [one("q", 40, machine=machine), one("q", 4, threads=2)]
    changes, notes = check.compare(before, after)
    assert {c.quantity for c in changes} == {"file, bytes", "zipped, bytes"}
    text = "\n".join(notes)
    assert "net, int8: only before" in text
    assert "net, q, 2 threads: only after" in text
    assert "times are not compared" in text


def test_the_command(tmp_path, monkeypatch, capsys):
    before, after, other = (tmp_path / name for name in ("a.json", "b.json", "c.json"))
    documents.write(before, [one("float", 20, seed=1), one("q", 4, seed=2)])
    documents.write(after, [one("float", 20, seed=3), one("q", 8, seed=4)])
    documents.write(other, [one("int8", 4)])

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["check", *map(str, arguments)])
        return check.main()

    assert run(before, after) == 1
    out = capsys.readouterr().out
    assert "worse" in out.splitlines()[2]
    assert "1 worse, 0 better" in out
    assert run(after, before) == 0
    assert run(before, before) == 0
    assert run(before, other) == 2
    assert run(before, tmp_path / "absent.json") == 2
    assert "nothing in common" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(before)
