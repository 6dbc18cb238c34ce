"""Runs one target under atheris: ``python tests/fuzz/fuzz.py graph -runs=10000 FOLDER``.

Arguments behind the target go to libFuzzer. Needs the extra `fuzz`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))

with atheris.instrument_imports(
    include=["qcnn_tflite", "flatbuffers"], enable_loader_override=False
):
    from targets import TARGETS


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: fuzz.py {{{','.join(TARGETS)}}} [arguments of libFuzzer]")
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
