#!/usr/bin/env python3
"""Writes the words of the iOS app from those of the Android app: one wording, two apps.

    tools/write_words.py [--check]

Writes the string catalog, English and Chinese, and the Swift names of its keys (Word.swift), so that
a misspelt key does not compile. With --check nothing is written: both must be what they would be.
"""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ANDROID = ROOT / "android-demo/app/src/main/res"
LANGUAGES = {"en": "values", "zh-Hans": "values-zh-rCN"}
CATALOG = ROOT / "ios-demo/QcnnDemo/QcnnDemo/Localizable.xcstrings"
NAMES = ROOT / "ios-demo/QcnnKit/Sources/QcnnKit/Screens/Word.swift"

# Words of Android that this app does not have, and why.
ABSENT = {
    "app_name": "CFBundleDisplayName in InfoPlist.xcstrings",
    "benchmark_exported": "the share sheet says itself what it did",
}


def words(language: str) -> dict[str, str | dict[str, str]]:
    """Texts by key, format specifiers as Swift has them; plurals as texts by quantity."""
    found: dict[str, str | dict[str, str]] = {}
    tree = ElementTree.parse(ANDROID / LANGUAGES[language] / "strings.xml")
    for element in tree.getroot():
        key = element.get("name", "")
        if key in ABSENT or (element.get("translatable") == "false" and language != "en"):
            continue
        if element.tag == "string":
            found[key] = converted("".join(element.itertext()))
        elif element.tag == "plurals":
            found[key] = {
                item.get("quantity", ""): converted("".join(item.itertext())) for item in element
            }
    return found


def converted(text: str) -> str:
    text = re.sub(r"\\(['\"@?])", r"\1", text).replace("\\n", "\n")
    text = re.sub(r"%(\d+\$)?s", lambda m: f"%{m[1] or ''}@", text)
    return re.sub(r"%(\d+\$)?d", lambda m: f"%{m[1] or ''}lld", text)


def unit(value: str) -> dict[str, object]:
    return {"stringUnit": {"state": "translated", "value": value}}


def catalog() -> str:
    strings: dict[str, dict[str, object]] = {}
    for language in LANGUAGES:
        for key, value in words(language).items():
            if isinstance(value, str):
                localization = unit(value)
            else:
                plural = {quantity: unit(text) for quantity, text in value.items()}
                localization = {"variations": {"plural": plural}}
            entry = strings.setdefault(key, {"extractionState": "manual", "localizations": {}})
            entry["localizations"][language] = localization  # type: ignore[index]
    document = {"sourceLanguage": "en", "strings": dict(sorted(strings.items())), "version": "1.0"}
    # As Xcode writes it.
    return json.dumps(document, indent=2, ensure_ascii=False, separators=(",", " : ")) + "\n"


def camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(part.capitalize() for part in rest)


def names() -> str:
    cases = "".join(f'  case {camel(key)} = "{key}"\n' for key in words("en"))
    return (
        "// Written by tools/write_words.py from the words of the Android app; do not edit.\n\n"
        "/// A key of the app's string catalog.\n"
        f"public enum Word: String, Sendable, CaseIterable {{\n{cases}}}\n"
    )


def main() -> int:
    stale = []
    for path, text in ((CATALOG, catalog()), (NAMES, names())):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path)
            if "--check" not in sys.argv[1:]:
                path.write_text(text, encoding="utf-8")
    if "--check" in sys.argv[1:] and stale:
        print(
            *(f"{path} is not what tools/write_words.py writes: run it" for path in stale), sep="\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
