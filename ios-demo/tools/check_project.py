#!/usr/bin/env python3
"""Checks what no compiler sees here: Xcode project, string catalogs, plists, names.

    tools/check_project.py

The project file is read by a strict parser (PyPI kin) and by another (PyPI openstep-parser), and every
id, folder, file, target, bundle id, package and key that it names must exist. Every word is in both
languages with the same arguments, and used; every plist parses and holds what its keys need.
"""

from __future__ import annotations

import json
import plistlib
import re
import sys
from pathlib import Path
from typing import Any

DEMO = Path(__file__).resolve().parents[1]
PROJECT = DEMO / "QcnnDemo"
FILE = PROJECT / "QcnnDemo.xcodeproj/project.pbxproj"
APP = PROJECT / "QcnnDemo"
KIT = DEMO / "QcnnKit"
LANGUAGES = ("en", "zh-Hans")

problems: list[str] = []


def expect(condition: object, problem: str) -> None:
    if not condition:
        problems.append(problem)


def check_project(text: str) -> None:
    from kin.verifier import Verifier  # type: ignore[import-untyped]

    errors = Verifier().check_errors(str(FILE))
    if errors:
        problems.append(f"project.pbxproj: the strict parser refuses it ({errors})")
        return
    import openstep_parser  # type: ignore[import-untyped]

    project = openstep_parser.OpenStepDecoder.ParseFromString(text)
    objects: dict[str, dict[str, Any]] = project["objects"]

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [r for item in value.items() for part in item for r in references(part)]
        if isinstance(value, list):
            return [r for part in value for r in references(part)]
        return [value] if re.fullmatch(r"[0-9A-F]{24}", str(value)) else []

    used = set(references([v for o in objects.values() for v in o.values()]))
    used.add(project["rootObject"])
    if not used <= set(objects):
        problems.append(f"project: ids without objects: {used - set(objects)}")
        return
    expect(set(objects) <= used, f"project: objects that nothing names: {set(objects) - used}")
    root = objects[project["rootObject"]]
    expect(root["isa"] == "PBXProject", "project: rootObject is no PBXProject")
    expect(project["objectVersion"] == "77", "project: objectVersion is not that of Xcode 16")
    expect(set(LANGUAGES) <= set(root["knownRegions"]), f"project: knownRegions lacks {LANGUAGES}")

    def of(isa: str) -> list[dict[str, Any]]:
        return [o for o in objects.values() if o["isa"] == isa]

    for folder in of("PBXFileSystemSynchronizedRootGroup"):
        path = PROJECT / folder["path"]
        expect(path.is_dir() and list(path.glob("*.swift")), f"project: no sources in {path}")
        for exception in folder.get("exceptions", []):
            for name in objects[exception]["membershipExceptions"]:
                expect((path / name).is_file(), f"project: no {path / name}")
    for file in of("PBXFileReference"):
        if file["sourceTree"] == "SOURCE_ROOT":
            path = PROJECT / file["path"]
            expect(path.exists(), f"project: no {path}")
            copied = [b for b in of("PBXBuildFile") if objects.get(b.get("fileRef", "")) is file]
            expect(copied, f"project: {file['path']} is not copied into the app")
    for reference in of("XCLocalSwiftPackageReference"):
        manifest = PROJECT / reference["relativePath"] / "Package.swift"
        if not manifest.is_file():
            expect(False, f"project: no {manifest}")
            continue
        text = manifest.read_text(encoding="utf-8")
        for product in of("XCSwiftPackageProductDependency"):
            expect(
                f'.library(name: "{product["productName"]}"' in text,
                f"project: {manifest} has no product {product['productName']}",
            )
    expect(of("XCLocalSwiftPackageReference"), "project: no package")

    kinds = {
        "QcnnDemo": "application",
        "QcnnDemoTests": "bundle.unit-test",
        "QcnnDemoUITests": "bundle.ui-testing",
    }
    targets = {t["name"]: t for t in of("PBXNativeTarget")}
    expect(set(targets) == set(kinds), f"project: targets are {sorted(targets)}")
    identifiers: set[str] = set()
    for name, kind in kinds.items():
        target = targets.get(name)
        if target is None:
            continue
        expect(
            target["productType"] == f"com.apple.product-type.{kind}", f"project: type of {name}"
        )
        phases = {objects[p]["isa"] for p in target["buildPhases"]}
        expect(len(phases) == 3, f"project: phases of {name} are {phases}")
        lists = objects[target["buildConfigurationList"]]["buildConfigurations"]
        expect(len(lists) == 2, f"project: configurations of {name}")
        for settings in (objects[c]["buildSettings"] for c in lists):
            identifiers.add(settings["PRODUCT_BUNDLE_IDENTIFIER"])
            if kind == "application":
                plist = PROJECT / settings["INFOPLIST_FILE"]
                expect(plist.is_file(), f"project: no {plist}")
                icon = f"{settings['ASSETCATALOG_COMPILER_APPICON_NAME']}.appiconset"
                check_icon(APP / "Assets.xcassets" / icon)
            elif kind == "bundle.unit-test":
                expect("/QcnnDemo.app/" in settings["TEST_HOST"], f"project: TEST_HOST of {name}")
                expect(settings["BUNDLE_LOADER"] == "$(TEST_HOST)", f"project: loader of {name}")
            else:
                expect(settings["TEST_TARGET_NAME"] == "QcnnDemo", f"project: target of {name}")
        if kind != "application":
            needs = [objects[objects[d]["target"]]["name"] for d in target["dependencies"]]
            expect(needs == ["QcnnDemo"], f"project: {name} depends on {needs}")
    expect(len(identifiers) == 3, f"project: bundle ids are {identifiers}")
    app_id = min(identifiers, key=len)
    expect(
        all(i == app_id or i.startswith(app_id + ".") for i in identifiers),
        f"project: bundle ids of the tests do not begin with the app's: {identifiers}",
    )
    common = [
        objects[c]["buildSettings"]
        for c in objects[root["buildConfigurationList"]]["buildConfigurations"]
    ]
    for settings in common:
        expect(settings["IPHONEOS_DEPLOYMENT_TARGET"] == "16.0", "project: not iOS 16")


def check_icon(folder: Path) -> None:
    contents = folder / "Contents.json"
    if not contents.is_file():
        expect(False, f"project: no {contents}")
        return
    for image in json.loads(contents.read_text(encoding="utf-8"))["images"]:
        expect((folder / image["filename"]).is_file(), f"no {folder / image['filename']}")


SPECIFIER = re.compile(r"%(?:(\d+)\$)?(@|lld|%)")


def arguments(text: str) -> list[tuple[str, str]]:
    """Positions and kinds, in the order of the positions."""
    return sorted(
        (position or str(i + 1), kind)
        for i, (position, kind) in enumerate(SPECIFIER.findall(text.replace("%%", "")))
        if kind != "%"
    )


def texts(localization: dict[str, Any]) -> list[dict[str, str]]:
    if "stringUnit" in localization:
        return [localization["stringUnit"]]
    return [v["stringUnit"] for v in localization["variations"]["plural"].values()]


def check_catalog(path: Path) -> dict[str, Any]:
    catalog = json.loads(path.read_text(encoding="utf-8"))
    expect(catalog["sourceLanguage"] == "en", f"{path.name}: source language")
    for key, entry in catalog["strings"].items():
        kinds = []
        for language in LANGUAGES:
            localization = entry.get("localizations", {}).get(language)
            expect(localization, f"{path.name}: {key} is not there in {language}")
            for unit in texts(localization or {"variations": {"plural": {}}}):
                expect(
                    unit["state"] == "translated" and unit["value"].strip(),
                    f"{path.name}: {key} is not translated to {language}",
                )
                kinds.append(arguments(unit["value"]))
        expect(
            all(k == kinds[0] for k in kinds),
            f"{path.name}: {key} has different arguments: {kinds}",
        )
    return dict(catalog["strings"])


def check_words() -> None:
    strings = check_catalog(APP / "Localizable.xcstrings")
    names = (KIT / "Sources/QcnnKit/Screens/Word.swift").read_text(encoding="utf-8")
    cases = dict(re.findall(r'case (\w+) = "(\w+)"', names))
    expect(set(cases.values()) == set(strings), "Word.swift and the catalog have other keys")
    sources = [*APP.glob("*.swift"), *(KIT / "Sources/QcnnKit/Screens").glob("*.swift")]
    text = "\n".join(p.read_text(encoding="utf-8") for p in sources if p.name != "Word.swift")
    for name, key in cases.items():
        expect(re.search(rf"\.{name}\b", text), f"the word {key} is not used")
        for localization in strings.get(key, {"localizations": {}})["localizations"].values():
            for unit in texts(localization):
                count = len(arguments(unit["value"]))
                calls = re.findall(rf"text\(\s*\.{name}\b(.)", text)
                expect(
                    all((call == ",") == (count > 0) for call in calls),
                    f"the word {key} takes {count} arguments, and a call has others",
                )
    literal = re.findall(r'(?:Text|Button|Label|Picker|accessibilityLabel)\(\s*"', text)
    expect(not literal, f"texts that are in no catalog: {literal}")


def check_plists() -> None:
    info = plistlib.loads((APP / "Info.plist").read_bytes())
    expect(len(info.get("NSCameraUsageDescription", "")) > 40, "Info.plist: camera sentence")
    for key in check_catalog(APP / "InfoPlist.xcstrings"):
        expect(key in info, f"Info.plist lacks {key}, which InfoPlist.xcstrings translates")
    types = {t["UTTypeIdentifier"] for t in info["UTImportedTypeDeclarations"]}
    named = {t for d in info["CFBundleDocumentTypes"] for t in d["LSItemContentTypes"]}
    expect(named <= types | {"public.image"}, f"Info.plist: types nobody declares: {named - types}")
    for unwanted in ("NSAppTransportSecurity", "NSPhotoLibraryUsageDescription"):
        expect(unwanted not in info, f"Info.plist: {unwanted} is not needed")
    privacy = plistlib.loads((APP / "PrivacyInfo.xcprivacy").read_bytes())
    expect(privacy["NSPrivacyTracking"] is False, "privacy manifest: tracking")
    expect(privacy["NSPrivacyCollectedDataTypes"] == [], "privacy manifest: collects data")
    sources = "\n".join(p.read_text(encoding="utf-8") for p in APP.glob("*.swift"))
    apis = {a["NSPrivacyAccessedAPIType"] for a in privacy["NSPrivacyAccessedAPITypes"]}
    expect(
        ("NSPrivacyAccessedAPICategoryUserDefaults" in apis) == ("UserDefaults" in sources),
        "privacy manifest: user defaults",
    )
    expect(
        not re.search(r"URLSession|import Network|NWConnection|WKWebView", sources),
        "the app uses the network",
    )


def main() -> int:
    check_project(FILE.read_text(encoding="utf-8"))
    check_words()
    check_plists()
    models = DEMO / "Assets/models"
    expect(list(models.glob("*-q.tflite")), f"no model in {models}")
    print("\n".join(problems) or "project, words and plists: no problems")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
