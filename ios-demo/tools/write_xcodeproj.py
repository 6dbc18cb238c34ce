#!/usr/bin/env python3
"""Writes QcnnDemo.xcodeproj: project and scheme (Xcode 16, objectVersion 77).

    tools/write_xcodeproj.py [--check]

Every target's sources are a synchronized folder, so that a new file needs no change of the project;
models and golden images are a folder reference to ../Assets. Object ids are made from the objects'
names, so that the output is the same every time. With --check nothing is written: the files must be
what they would be.
"""

import hashlib
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "QcnnDemo/QcnnDemo.xcodeproj"

APP, BUNDLE = "QcnnDemo", "org.example.QcnnDemo"


def uid(name):
    return hashlib.md5(name.encode()).hexdigest()[:24].upper()


def quote(s):
    s = str(s)
    if re.fullmatch(r"[A-Za-z0-9_./]+", s):
        return s
    return '"' + s.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


class Ref(str):
    """An object's id, with the comment that Xcode writes after it."""

    def __new__(cls, name, comment):
        self = super().__new__(cls, uid(name))
        self.comment = comment
        return self


def dump(v, depth, flat=False):
    tab, end = ("", " ") if flat else ("\t" * (depth + 1), "\n")
    close = "" if flat else "\t" * depth
    if isinstance(v, dict):
        items = "".join(f"{tab}{quote(k)} = {dump(x, depth + 1, flat)};{end}" for k, x in v.items())
        return "{" + ("" if flat else "\n") + items + close + "}"
    if isinstance(v, list):
        items = "".join(f"{tab}{dump(x, depth + 1, flat)},{end}" for x in v)
        return "(" + ("" if flat else "\n") + items + close + ")"
    if isinstance(v, Ref):
        return f"{v} /* {v.comment} */" if v.comment else str(v)
    return quote(v)


objects = {}


def add(isa, name, comment, /, **fields):
    ref = Ref(f"{isa}:{name}", comment)
    objects[ref] = {"isa": isa, **fields}
    return ref


def configurations(name, kind, common, debug=None, release=None):
    refs = [
        add(
            "XCBuildConfiguration",
            f"{name}:{c}",
            c,
            buildSettings=dict(sorted({**common, **(extra or {})}.items())),
            name=c,
        )
        for c, extra in (("Debug", debug), ("Release", release))
    ]
    return add(
        "XCConfigurationList",
        name,
        f'Build configuration list for {kind} "{name.split(":")[-1]}"',
        buildConfigurations=refs,
        defaultConfigurationIsVisible=0,
        defaultConfigurationName="Release",
    )


package = add(
    "XCLocalSwiftPackageReference",
    "QcnnKit",
    'XCLocalSwiftPackageReference "../QcnnKit"',
    relativePath="../QcnnKit",
)
product = add("XCSwiftPackageProductDependency", "QcnnKit", "QcnnKit", productName="QcnnKit")
kit_build_file = add("PBXBuildFile", "QcnnKit", "QcnnKit in Frameworks", productRef=product)
assets = add(
    "PBXFileReference",
    "Assets",
    "Assets",
    lastKnownFileType="folder",
    name="Assets",
    path="../Assets",
    sourceTree="SOURCE_ROOT",
)
assets_build_file = add("PBXBuildFile", "Assets", "Assets in Resources", fileRef=assets)
project = Ref("PBXProject:QcnnDemo", "Project object")

targets, folders, products, attributes = [], [], [], {}
for name, kind, ext in (
    (APP, "application", "app"),
    (APP + "Tests", "bundle.unit-test", "xctest"),
    (APP + "UITests", "bundle.ui-testing", "xctest"),
):
    file_type = "wrapper.application" if ext == "app" else "wrapper.cfbundle"
    out = add(
        "PBXFileReference",
        f"{name}.{ext}",
        f"{name}.{ext}",
        explicitFileType=file_type,
        includeInIndex=0,
        path=f"{name}.{ext}",
        sourceTree="BUILT_PRODUCTS_DIR",
    )
    folder_fields = {}
    if ext == "app":
        # Info.plist is read by a build setting, so it must not be copied as well
        target_ref = Ref(f"PBXNativeTarget:{name}", name)
        exceptions = add(
            "PBXFileSystemSynchronizedBuildFileExceptionSet",
            name,
            f'Exceptions for "{name}" folder in "{name}" target',
            membershipExceptions=["Info.plist"],
            target=target_ref,
        )
        folder_fields["exceptions"] = [exceptions]
    folder = add(
        "PBXFileSystemSynchronizedRootGroup",
        name,
        name,
        **folder_fields,
        path=name,
        sourceTree="<group>",
    )
    phases = [
        add(
            "PBXSourcesBuildPhase",
            name,
            "Sources",
            buildActionMask=2147483647,
            files=[],
            runOnlyForDeploymentPostprocessing=0,
        ),
        add(
            "PBXFrameworksBuildPhase",
            name,
            "Frameworks",
            buildActionMask=2147483647,
            files=[kit_build_file] if ext == "app" else [],
            runOnlyForDeploymentPostprocessing=0,
        ),
        add(
            "PBXResourcesBuildPhase",
            name,
            "Resources",
            buildActionMask=2147483647,
            files=[assets_build_file] if ext == "app" else [],
            runOnlyForDeploymentPostprocessing=0,
        ),
    ]
    settings = {
        "CODE_SIGN_STYLE": "Automatic",
        "CURRENT_PROJECT_VERSION": 1,
        "GENERATE_INFOPLIST_FILE": "YES",
        "MARKETING_VERSION": "1.0",
        "PRODUCT_NAME": "$(TARGET_NAME)",
        "SWIFT_EMIT_LOC_STRINGS": "NO",
        "SWIFT_VERSION": "5.0",
        "TARGETED_DEVICE_FAMILY": "1",
    }
    dependencies = []
    if ext == "app":
        settings |= {
            "ASSETCATALOG_COMPILER_APPICON_NAME": "AppIcon",
            "PRODUCT_BUNDLE_IDENTIFIER": BUNDLE,
            "INFOPLIST_FILE": f"{name}/Info.plist",
            "SWIFT_EMIT_LOC_STRINGS": "YES",
            "ENABLE_PREVIEWS": "YES",
            "INFOPLIST_KEY_UILaunchScreen_Generation": "YES",
            "INFOPLIST_KEY_UIApplicationSceneManifest_Generation": "YES",
            "INFOPLIST_KEY_UISupportedInterfaceOrientations": "UIInterfaceOrientationPortrait UIInterfaceOrientationLandscapeLeft "
            "UIInterfaceOrientationLandscapeRight",
            "LD_RUNPATH_SEARCH_PATHS": ["$(inherited)", "@executable_path/Frameworks"],
        }
    else:
        settings |= {"PRODUCT_BUNDLE_IDENTIFIER": f"{BUNDLE}.{name}"}
        if kind == "bundle.unit-test":
            settings |= {
                "BUNDLE_LOADER": "$(TEST_HOST)",
                "TEST_HOST": f"$(BUILT_PRODUCTS_DIR)/{APP}.app/$(BUNDLE_EXECUTABLE_FOLDER_PATH)/{APP}",
            }
        else:
            settings |= {"TEST_TARGET_NAME": APP}
        proxy = add(
            "PBXContainerItemProxy",
            name,
            "PBXContainerItemProxy",
            containerPortal=project,
            proxyType=1,
            remoteGlobalIDString=Ref(f"PBXNativeTarget:{APP}", ""),
            remoteInfo=APP,
        )
        objects[proxy]["remoteGlobalIDString"] = str(uid(f"PBXNativeTarget:{APP}"))
        dependencies = [
            add(
                "PBXTargetDependency",
                name,
                "PBXTargetDependency",
                target=Ref(f"PBXNativeTarget:{APP}", APP),
                targetProxy=proxy,
            )
        ]
    target = add(
        "PBXNativeTarget",
        name,
        name,
        buildConfigurationList=configurations(f"target:{name}", "PBXNativeTarget", settings),
        buildPhases=phases,
        buildRules=[],
        dependencies=dependencies,
        fileSystemSynchronizedGroups=[folder],
        name=name,
        packageProductDependencies=[product] if kind != "bundle.ui-testing" else [],
        productName=name,
        productReference=out,
        productType=f"com.apple.product-type.{kind}",
    )
    attributes[str(target)] = {"CreatedOnToolsVersion": "16.0"}
    if ext != "app":
        attributes[str(target)]["TestTargetID"] = str(uid(f"PBXNativeTarget:{APP}"))
    targets.append(target)
    folders.append(folder)
    products.append(out)

products_group = add(
    "PBXGroup", "Products", "Products", children=products, name="Products", sourceTree="<group>"
)
main_group = add(
    "PBXGroup", "main", "", children=[*folders, assets, products_group], sourceTree="<group>"
)
common = {
    "ALWAYS_SEARCH_USER_PATHS": "NO",
    "CLANG_CXX_LANGUAGE_STANDARD": "gnu++17",
    "CLANG_ENABLE_MODULES": "YES",
    "ENABLE_USER_SCRIPT_SANDBOXING": "YES",
    "IPHONEOS_DEPLOYMENT_TARGET": "16.0",
    "LOCALIZATION_PREFERS_STRING_CATALOGS": "YES",
    "SDKROOT": "iphoneos",
}
objects[project] = {
    "isa": "PBXProject",
    "attributes": {
        "BuildIndependentTargetsInParallel": 1,
        "LastSwiftUpdateCheck": 1600,
        "LastUpgradeCheck": 1600,
        "TargetAttributes": attributes,
    },
    "buildConfigurationList": configurations(
        f"project:{APP}",
        "PBXProject",
        common,
        {
            "DEBUG_INFORMATION_FORMAT": "dwarf",
            "ENABLE_TESTABILITY": "YES",
            "ONLY_ACTIVE_ARCH": "YES",
            "SWIFT_ACTIVE_COMPILATION_CONDITIONS": "DEBUG $(inherited)",
            "SWIFT_OPTIMIZATION_LEVEL": "-Onone",
        },
        {
            "DEBUG_INFORMATION_FORMAT": "dwarf-with-dsym",
            "SWIFT_COMPILATION_MODE": "wholemodule",
            "VALIDATE_PRODUCT": "YES",
        },
    ),
    "developmentRegion": "en",
    "hasScannedForEncodings": 0,
    "knownRegions": ["en", "Base", "zh-Hans"],
    "mainGroup": main_group,
    "minimizedProjectReferenceProxies": 1,
    "packageReferences": [package],
    "preferredProjectObjectVersion": 77,
    "productRefGroup": products_group,
    "projectDirPath": "",
    "projectRoot": "",
    "targets": targets,
}

lines = [
    "// !$*UTF8*$!",
    "{",
    "\tarchiveVersion = 1;",
    "\tclasses = {",
    "\t};",
    "\tobjectVersion = 77;",
    "\tobjects = {",
]
for isa in sorted({o["isa"] for o in objects.values()}):
    lines += ["", f"/* Begin {isa} section */"]
    for ref in sorted(r for r in objects if objects[r]["isa"] == isa):
        flat = isa in ("PBXBuildFile", "PBXFileReference")
        fields = dict(objects[ref].items())
        original = next(r for r in objects if r == ref)
        lines.append(f"\t\t{dump(original, 0)} = {dump(fields, 2, flat)};")
    lines.append(f"/* End {isa} section */")
lines += ["\t};", f"\trootObject = {project} /* Project object */;", "}", ""]

app_id = uid(f"PBXNativeTarget:{APP}")


def buildable(name, product):
    return (
        f'<BuildableReference BuildableIdentifier = "primary" BlueprintIdentifier = "{uid("PBXNativeTarget:" + name)}" '
        f'BuildableName = "{product}" BlueprintName = "{name}" ReferencedContainer = "container:{APP}.xcodeproj"/>'
    )


app_reference = buildable(APP, f"{APP}.app")
testables = "".join(
    f'         <TestableReference skipped = "NO">{buildable(APP + kind, APP + kind + ".xctest")}</TestableReference>\n'
    for kind in ("Tests", "UITests")
)
scheme = f"""<?xml version="1.0" encoding="UTF-8"?>
<Scheme LastUpgradeVersion = "1600" version = "1.7">
   <BuildAction parallelizeBuildables = "YES" buildImplicitDependencies = "YES">
      <BuildActionEntries>
         <BuildActionEntry buildForTesting = "YES" buildForRunning = "YES" buildForProfiling = "YES" buildForArchiving = "YES" buildForAnalyzing = "YES">{app_reference}</BuildActionEntry>
      </BuildActionEntries>
   </BuildAction>
   <TestAction buildConfiguration = "Debug" selectedDebuggerIdentifier = "Xcode.DebuggerFoundation.Debugger.LLDB" selectedLauncherIdentifier = "Xcode.DebuggerFoundation.Launcher.LLDB" shouldUseLaunchSchemeArgsEnv = "YES">
      <Testables>
{testables}      </Testables>
   </TestAction>
   <LaunchAction buildConfiguration = "Debug" selectedDebuggerIdentifier = "Xcode.DebuggerFoundation.Debugger.LLDB" selectedLauncherIdentifier = "Xcode.DebuggerFoundation.Launcher.LLDB" launchStyle = "0" useCustomWorkingDirectory = "NO" ignoresPersistentStateOnLaunch = "NO" debugDocumentVersioning = "YES" debugServiceExtension = "internal" allowLocationSimulation = "YES">
      <BuildableProductRunnable runnableDebuggingMode = "0">{app_reference}</BuildableProductRunnable>
   </LaunchAction>
   <ProfileAction buildConfiguration = "Release" shouldUseLaunchSchemeArgsEnv = "YES" savedToolIdentifier = "" useCustomWorkingDirectory = "NO" debugDocumentVersioning = "YES">
      <BuildableProductRunnable runnableDebuggingMode = "0">{app_reference}</BuildableProductRunnable>
   </ProfileAction>
   <AnalyzeAction buildConfiguration = "Debug"/>
   <ArchiveAction buildConfiguration = "Release" revealArchiveInOrganizer = "YES"/>
</Scheme>
"""
stale = []
for path, text in (
    (FOLDER / "project.pbxproj", "\n".join(lines)),
    (FOLDER / f"xcshareddata/xcschemes/{APP}.xcscheme", scheme),
):
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        stale.append(path)
        if "--check" not in sys.argv[1:]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
if "--check" in sys.argv[1:] and stale:
    sys.exit(
        "\n".join(f"{path} is not what tools/write_xcodeproj.py writes: run it" for path in stale)
    )
