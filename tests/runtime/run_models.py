"""Runs each model named on the command line and prints one line of JSON about it.

A program of its own: a model that crashed it would be seen by the exit code.
"""

from __future__ import annotations

import json
import resource
import sys

import numpy as np

from qcnn_tflite.runtime import Interpreter

# A model may ask for terabytes; the machine that tests it must not begin to swap.
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))


def try_model(path: str, backend: str) -> dict[str, str]:
    try:
        interpreter = Interpreter(path, num_threads=2, backend=backend)
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], np.ones(detail["shape"], detail["dtype"]))
        interpreter.invoke()
        for detail in interpreter.get_output_details():
            interpreter.get_tensor(detail["index"])
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}
    return {"error": "", "message": ""}


for path in sys.argv[2:]:
    print(json.dumps({"path": path, **try_model(path, sys.argv[1])}), flush=True)
