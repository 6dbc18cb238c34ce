"""The schema of results: what passes, and what does not."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from typing import Any

import pytest

from benchmarks import validate
from benchmarks.documents import read, write
from qcnn_tflite.errors import DataError
from qcnn_tflite.result_document import document, now, result


def one(**changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": "alexnet",
        "variant": "q",
        "lrn": "ours",
        "samples_ms": [3.0, 1.0, 2.0],
        "load_ms": 5.0,
        "sizes": {"file": 100, "zipped": 90},
        "runtime": ("ai_edge_litert", "2.3.0"),
        "threads": 1,
        "batch": 1,
        "kernel": "reference",
        "date": now(),
    }
    return result(**{**arguments, **changes})


def test_what_is_written_passes_and_has_no_field_that_the_schema_does_not_name():
    every = one(sizes={"file": 1, "zipped": 1, "repacked": 2, "scratch": 3})
    every["memory"] = {"peak_rss_bytes": 1, "runs": 10}
    plain = one(lrn=None, kernel=None)
    assert "lrn" not in plain
    assert validate.problems(document([every, plain]), strict=True) == []
    assert every["summary_ms"] == {"median": 2.0, "p10": 1.2, "p90": 2.8, "min": 1.0}


def test_a_later_version_may_add_fields():
    found = document([{**one(), "top1": 0.5}])
    assert validate.problems(found) == []
    assert "top1" in validate.problems(found, strict=True)[0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 2),
        (("format",), None),
        (("results",), {}),
        (("results", 0, "model"), ""),
        (("results", 0, "variant"), None),
        (("results", 0, "lrn"), "theirs"),
        (("results", 0, "machine", "instruction_set"), None),
        (("results", 0, "machine", "features"), "avx2"),
        (("results", 0, "kernel"), 1),
        (("results", 0, "threads"), 0),
        (("results", 0, "batch"), 1.5),
        (("results", 0, "runtime"), "ai_edge_litert"),
        (("results", 0, "versions"), {"numpy": 2}),
        (("results", 0, "date"), "2026-11-21T08:00:00+01:00"),
        (("results", 0, "date"), "yesterday"),
        (("results", 0, "samples_ms"), []),
        (("results", 0, "samples_ms", 0), 0),
        (("results", 0, "samples_ms", 0), "1"),
        (("results", 0, "summary_ms", "median"), 2.1),
        (("results", 0, "summary_ms", "p90"), None),
        (("results", 0, "load_ms"), -1),
        (("results", 0, "sizes", "zipped"), None),
        (("results", 0, "sizes", "file"), -1),
        (("results", 0, "memory"), {"runs": 10}),
        (("results", 0, "memory"), {"peak_rss_bytes": 0, "runs": 10}),
    ],
)
def test_bad_documents(path, value):
    found = copy.deepcopy(document([one()]))
    node: Any = found
    for key in path[:-1]:
        node = node[key]
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    assert len(validate.problems(found)) == 1


def test_the_schema_is_one():
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(validate.schema())
    Draft202012Validator.check_schema(validate.schema(strict=True))


def test_files(tmp_path):
    path = tmp_path / "results.json"
    write(path, [one()])
    assert read(path)[0]["model"] == "alexnet"
    damaged = tmp_path / "damaged.json"
    damaged.write_text("{")
    with pytest.raises(DataError, match="can be read"):
        read(damaged)
    damaged.write_text(json.dumps({"format": 1}))
    with pytest.raises(DataError, match="results"):
        read(damaged)

    def check(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, validate.__file__, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good = check("--strict", path)
    assert good.returncode == 0
    assert "1 results, valid" in good.stdout
    bad = check(path, damaged, tmp_path / "absent.json")
    assert bad.returncode == 1
    assert "'results' is a required property" in bad.stderr
    assert "absent.json: is no JSON file" in bad.stderr


def test_the_command_writes_the_same_format(tmp_path, capsys):
    import small_network

    import qcnn_tflite
    from qcnn_tflite.cli import main

    path = tmp_path / "net.tflite"
    path.write_bytes(small_network.float_model())
    result = qcnn_tflite.benchmark(path, runs=2)
    assert validate.problems(result.to_document(), strict=True) == []
    assert main(["benchmark", str(path), "--stock-lrn", "--runs", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert validate.problems(found) == []
    assert found["results"][0]["lrn"] == "stock"
    assert found["results"][0]["kernel"] is None
