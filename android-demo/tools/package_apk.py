"""Packs what the Maven build compiled into an APK, signs it with a throw-away key, and reads it back.

    python android-demo/tools/package_apk.py NATIVE OUT.apk

NATIVE is the folder that native_libraries.py wrote. A check of the classes (they become DEX for API 24),
of the manifest and of the package's alignment; what people install is built by Gradle, with LiteRT in the
place of TensorFlow Lite 2.16.1 and the NDK's libqcnn_ops.so.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

DEMO = Path(__file__).resolve().parents[1]
ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
PAGE = 16384
# Extra field of Android's own tools: padding that apksigner keeps.
ALIGNMENT_FIELD = 0xD935


def call(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{Path(str(command[0])).name} failed\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout + done.stderr


def classes_dex(work: Path) -> Path:
    """The app's classes and what they use of Kotlin, without invokedynamic, as DEX for API 24."""
    tools = DEMO / "maven/apk/target/tools"
    classpath = os.pathsep.join(str(jar) for jar in sorted(tools.glob("*.jar")))
    java_home = Path(shutil.which("java") or "java").resolve().parents[1]
    jar = work / "classes.jar"
    lines = [
        f"-injars {DEMO / module / 'target/classes'}(**.class)"
        for module in ("app", "qcnn", "maven/tflite-classes")
    ]
    lines += [
        f"-injars {stdlib}(!META-INF/**,!**.kotlin_*)"
        for stdlib in (DEMO / "maven/apk/target/app").glob("*.jar")
    ]
    lines += [
        f"-libraryjars {DEMO / 'app/target/android/framework.jar'}(**.class)",
        f"-libraryjars {java_home / 'jmods/java.base.jmod'}(!**.jar;!module-info.class)",
        f"-outjars {jar}",
        "-dontwarn **", "-dontnote **", "-dontoptimize", "-dontobfuscate", "-target 1.7",
        "-keep class qcnn.tflite.** { *; }", "-keep class org.tensorflow.lite.** { *; }",
    ]  # fmt: skip
    rules = work / "rules.pro"
    rules.write_text("\n".join(lines))
    call("java", "-Xmx1g", "-cp", classpath, "proguard.ProGuard", f"@{rules}")
    call("java", "-Xmx1g", "-cp", classpath, "com.android.dx.command.Main", "--dex", "--min-sdk-version=24",
         f"--output={work / 'classes.dex'}", jar)  # fmt: skip
    return work / "classes.dex"


def pack(native: Path, work: Path, target: Path) -> None:
    """Stored entries begin at multiples of 4 bytes, native libraries at pages of 16 KiB."""
    entries = []
    with zipfile.ZipFile(DEMO / "app/target/android/resources.apk") as resources:
        for info in resources.infolist():
            entries.append(
                (info.filename, resources.read(info), info.compress_type == zipfile.ZIP_STORED)
            )
    entries.append(("classes.dex", classes_dex(work).read_bytes(), False))
    runtime = DEMO / "maven/tflite-classes/target/aar/jni"
    for abi in ABIS:
        for folder, name in ((native, "libqcnn_ops.so"), (runtime, "libtensorflowlite_jni.so")):
            entries.append((f"lib/{abi}/{name}", (folder / abi / name).read_bytes(), True))
    with open(target, "wb") as file, zipfile.ZipFile(file, "w") as package:
        for name, data, stored in entries:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            if stored:
                alignment = PAGE if name.endswith(".so") else 4
                padding = -(file.tell() + 30 + len(name.encode())) % alignment
                while padding < 6:
                    padding += alignment
                info.extra = struct.pack(
                    "<HHH", ALIGNMENT_FIELD, padding - 4, alignment
                ) + b"\0" * (padding - 6)
            package.writestr(info, data)


def sign(target: Path, work: Path) -> None:
    store = work / "throw-away.jks"
    call("keytool", "-genkeypair", "-keystore", store, "-storepass", "throwaway", "-keypass", "throwaway", "-alias", "key",
         "-keyalg", "RSA", "-keysize", "2048", "-validity", "1", "-dname", "CN=throw-away")  # fmt: skip
    call("apksigner", "sign", "--ks", store, "--ks-pass", "pass:throwaway", "--ks-key-alias", "key",
         "--min-sdk-version", "24", target)  # fmt: skip
    verified = call("apksigner", "verify", "--verbose", "--min-sdk-version", "24", target)
    if not re.search(r"v2 scheme.*: true", verified):
        sys.exit(f"the signature is not what was expected\n{verified}")


def read_back(target: Path) -> str:
    """What Android's own tools read in the package; exits if it is not what was meant."""
    call("zipalign", "-c", "-p", "4", target)
    badging = call("aapt", "dump", "badging", target)
    expected = [
        r"package: name='qcnn\.tflite\.demo' versionCode='1' versionName='0\.1\.0'",
        r"sdkVersion:'24'",
        r"targetSdkVersion:'36'",
        r"application-label:'Shoot to Know'",
        r"application-label-zh-CN:'拍照识物'",
        r"launchable-activity: name='qcnn\.tflite\.demo\.MainActivity'",
        r"native-code: 'arm64-v8a' 'armeabi-v7a' 'x86_64'",
    ]
    missing = [line for line in expected if not re.search(line, badging)]
    if missing:
        sys.exit(f"aapt does not read {missing[0]}\n{badging}")
    permissions = re.findall(r"uses-permission: name='(.*?)'", badging)
    if permissions != ["android.permission.CAMERA"]:
        sys.exit(f"permissions are {permissions}")
    with open(target, "rb") as file, zipfile.ZipFile(file) as package:
        for info in package.infolist():
            file.seek(info.header_offset + 26)
            name, extra = struct.unpack("<HH", file.read(4))
            start = info.header_offset + 30 + name + extra
            if info.filename.endswith(".so") and (info.compress_type or start % PAGE):
                sys.exit(f"{info.filename} starts at {start}, or is compressed")
            if info.filename.endswith(".tflite") and (info.compress_type or start % 4):
                sys.exit(
                    f"{info.filename} is compressed, or starts at {start}: it could not be mapped"
                )
        dex = package.read("classes.dex")
    if dex[:8] != b"dex\n037\0":
        sys.exit(f"classes.dex is {dex[:8]!r}, which Android 7 does not read")
    return f"{target.stat().st_size} bytes, {len(dex)} of them code; signed, aligned, read by aapt"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("native", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    args.target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        pack(args.native, Path(work), args.target)
        sign(args.target, Path(work))
    print(f"{args.target.name}: {read_back(args.target)}")


if __name__ == "__main__":
    main()
