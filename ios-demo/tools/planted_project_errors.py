#!/usr/bin/env python3
"""Plants an error at a time in a copy of the project, its words and plists; check_project.py must find each.

tools/planted_project_errors.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DEMO = Path(__file__).resolve().parents[1]
PROJECT = "QcnnDemo.xcodeproj/project.pbxproj"
WORDS, INFO = "QcnnDemo/Localizable.xcstrings", "QcnnDemo/Info.plist"
# What, file, text, and what stands there instead.
ERRORS = [
    ("id without an object", PROJECT, "rootObject = C98C24", "rootObject = C98C25"),
    (
        "bundle id",
        PROJECT,
        "= org.example.QcnnDemo.QcnnDemoTests;",
        "= org.other.QcnnDemoTests;",
    ),
    ("package's folder", PROJECT, "relativePath = ../QcnnKit;", "relativePath = ../Kit;"),
    ("package's product", PROJECT, "productName = QcnnKit;", "productName = Kit;"),
    ("folder of a target", PROJECT, "path = QcnnDemoTests;", "path = Tests;"),
    ("folder of the assets", PROJECT, "path = ../Assets;", "path = ../Models;"),
    ("Info.plist", PROJECT, "= QcnnDemo/Info.plist;", "= Info.plist;"),
    ("icon", PROJECT, "APPICON_NAME = AppIcon;", "APPICON_NAME = Icon;"),
    ("target under test", PROJECT, "TEST_TARGET_NAME = QcnnDemo;", "TEST_TARGET_NAME = Demo;"),
    ("grammar", PROJECT, "productName = QcnnKit;", "productName = QcnnKit"),
    ("oldest iOS", PROJECT, "TARGET = 16.0;", "TARGET = 15.0;"),
    ("language", PROJECT, '"zh-Hans",\n', "fr,\n"),
    ("camera sentence", INFO, "NSCameraUsageDescription", "NSCameraUsage"),
    ("file type", INFO, "<string>org.tensorflow.tflite</string>", "<string>org.other</string>"),
    ("text in one language", WORDS, '"zh-Hans" : {', '"zh-Hant" : {'),
    ("argument of a text", WORDS, "%1$@, %2$@", "%1$@"),
    (
        "unused text",
        "QcnnDemo/SettingsView.swift",
        "text(.settingsLicence, licence)",
        "licence",
    ),
    (
        "text outside of the catalog",
        "QcnnDemo/SettingsView.swift",
        "Text(verbatim: text(.settingsAbout))",
        'Text("About")\nText(verbatim: text(.settingsAbout))',
    ),
    (
        "network",
        "QcnnDemo/AppModel.swift",
        "import Foundation",
        "import Foundation\nimport Network",
    ),
    (
        "privacy manifest",
        "QcnnDemo/PrivacyInfo.xcprivacy",
        "CategoryUserDefaults",
        "CategoryDiskSpace",
    ),
]


def main() -> int:
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / DEMO.name
        for part in ("QcnnDemo", "tools", "Assets", "QcnnKit/Package.swift", "QcnnKit/Sources"):
            source, target = DEMO / part, copy / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copy(source, target)
        for what, name, text, other in ERRORS:
            file = copy / "QcnnDemo" / name
            before = file.read_text(encoding="utf-8")
            assert text in before, f"{what}: {name} has changed, {text!r} is not there"
            file.write_text(before.replace(text, other, 1), encoding="utf-8")
            run = subprocess.run(
                [sys.executable, str(copy / "tools/check_project.py")],
                capture_output=True,
                text=True,
                check=False,
            )
            file.write_text(before, encoding="utf-8")
            found = run.returncode == 1 and "Traceback" not in run.stderr
            message = run.stdout.replace(f"{copy}/", "").splitlines() or [run.stderr[-200:]]
            print(f"{'found ' if found else 'MISSED'} {what}: {message[0]}")
            missed += not found
    print(f"planted errors: {len(ERRORS) - missed} of {len(ERRORS)} found")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
