"""Importing the package is cheap: a command line starts at once, a server does not load TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ["tensorflow", "keras", "sklearn", "scipy", "PIL", "ai_edge_litert", "joblib"]
PROGRAM = f"""
import json, sys, time
start = time.perf_counter()
import qcnn_tflite
seconds = time.perf_counter() - start
print(json.dumps([seconds, [name for name in {HEAVY} if name in sys.modules]]))
"""


def run_python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_is_quick_and_loads_nothing_heavy() -> None:
    results = [json.loads(run_python(PROGRAM)) for _ in range(3)]
    assert min(seconds for seconds, _ in results) < 0.3
    assert results[0][1] == []


def test_public_names_exist_and_load_no_tensorflow() -> None:
    program = """
import sys, qcnn_tflite
assert qcnn_tflite.__all__
for name in qcnn_tflite.__all__:
    assert getattr(qcnn_tflite, name) is not None
assert set(qcnn_tflite.__all__) <= set(dir(qcnn_tflite))
print("tensorflow" in sys.modules)
"""
    assert run_python(program).strip() == "False"


def test_unknown_names_raise_attribute_errors() -> None:
    import qcnn_tflite

    with pytest.raises(AttributeError, match="no_such_name"):
        qcnn_tflite.no_such_name  # noqa: B018
