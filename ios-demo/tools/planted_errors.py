#!/usr/bin/env python3
"""Plants an error at a time in the app's sources; the type check must find each.

    tools/planted_errors.py SCRATCH OUT COMMAND...

SCRATCH, OUT: as of typecheck_app.sh; COMMAND: what runs a command in the Swift root.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

DEMO = Path(__file__).resolve().parents[1]
APP = DEMO / "QcnnDemo/QcnnDemo"
# What, file, text, and what stands there instead.
ERRORS = [
    ("misspelt property", "LiveView.swift", "live.model.isRunning", "live.model.isRuning"),
    ("unknown case", "LiveView.swift", "case .waiting:", "case .attending:"),
    (
        "missing case",
        "PhotoView.swift",
        "    case .working:\n      BusyView(words: text(.liveWaiting))\n",
        "",
    ),
    (
        "wrong label of QcnnKit",
        "DeviceCamera.swift",
        "height: height, bytesPerRow:",
        "height: height, rowBytes:",
    ),
    (
        "unknown modifier",
        "FailureView.swift",
        ".accessibilityAddTraits(.isHeader)",
        ".accessibilityTraits(.isHeader)",
    ),
    (
        "wrong type in a modifier",
        "BenchmarkView.swift",
        ".foregroundStyle(.secondary)",
        ".foregroundStyle(2)",
    ),
    ("missing try", "AppModel.swift", "try Benchmark().measure", "Benchmark().measure"),
    (
        "missing await",
        "LiveView.swift",
        "await live.model.switchCamera()",
        "live.model.switchCamera()",
    ),
    ("unknown word", "SettingsView.swift", "text(.settingsAbout)", "text(.settingsAbuot)"),
    ("no view in a body", "AnswerView.swift", "TimesView(times: times)", "times"),
    ("wrong method of a delegate", "DeviceCamera.swift", "didOutput buffer:", "didDeliver buffer:"),
]


def finds(sources: Path) -> tuple[bool, str]:
    run = subprocess.run(
        [*sys.argv[3:], "bash", str(DEMO / "tools/typecheck_app.sh"), *sys.argv[1:3], str(sources)],
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line for line in run.stderr.splitlines() if "error:" in line]
    return bool(errors), errors[0].split("error: ")[1] if errors else run.stderr[-200:]


def plant(error: tuple[str, str, str, str]) -> tuple[bool, str]:
    what, name, text, other = error
    with tempfile.TemporaryDirectory(dir=sys.argv[2]) as folder:
        for source in APP.glob("*.swift"):
            shutil.copy(source, folder)
        file = Path(folder) / name
        before = file.read_text(encoding="utf-8")
        assert text in before, f"{what}: {name} has changed, {text!r} is not there"
        file.write_text(before.replace(text, other, 1), encoding="utf-8")
        return finds(Path(folder))


def main() -> int:
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(plant, ERRORS))
    for (what, *_), (found, message) in zip(ERRORS, results, strict=True):
        print(f"{'found ' if found else 'MISSED'} {what}: {message}")
    missed = sum(not found for found, _ in results)
    print(f"planted errors: {len(ERRORS) - missed} of {len(ERRORS)} found")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
