"""The processes that make variants end with the one that wants them, however it ends."""

from __future__ import annotations

import subprocess
import sys

import psutil

_PARENT = """
import time
from qcnn_tflite.measurement.making import in_own_process

if __name__ == "__main__":
    in_own_process("nothing", time.sleep, 3600)
"""


def test_no_process_outlives_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    parent = subprocess.Popen([sys.executable, str(script)])
    children: list[psutil.Process] = []
    # Two: the one that works, and the one that keeps account of what they share.
    while len(children) < 2 or not any(working(child) for child in children):
        assert parent.poll() is None
        children = psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(children, timeout=120)
    for process in alive:
        process.kill()
    assert not alive


def working(process: psutil.Process) -> bool:
    """Whether it has read what to do, and watches its parent: its imports are done, it sleeps."""
    try:
        return process.num_threads() > 1 and "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False
