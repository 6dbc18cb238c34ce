#!/usr/bin/env python3
"""Lays TensorFlow Lite's C headers out as the iOS framework has them: one folder, one module.

    tools/framework_headers.py TENSORFLOW_LITE.aar OUT

The AAR has the same headers under their source paths, some of them only references to others.
"""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

# The framework's public headers, and what they include.
PUBLIC = ("builtin_ops.h", "c_api.h", "c_api_experimental.h", "c_api_types.h", "common.h")
# Not in the AARs; the framework has no more of it than this name either.
MISSING = {
    "registration_external.h": "typedef struct TfLiteRegistrationExternal TfLiteRegistrationExternal;\n",
    "async/c/types.h": "#include <stdint.h>\n",
}


def main(aar: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    with zipfile.ZipFile(aar) as archive:
        for path in archive.namelist():
            if path.startswith("headers/") and path.endswith(".h"):
                files[path.removeprefix("headers/")] = archive.read(path).decode()

    def flat(path: str) -> str:
        return path.removeprefix("tensorflow/lite/").replace("/", "_")

    def included(path: str) -> str:
        return f'#include "{flat(path)}"'

    names = set(files)
    for path, text in list(files.items()):
        text = re.sub(r'#include "(tensorflow/[^"]+)"', lambda m: included(m[1]), text)
        (out / flat(path)).write_text(text, encoding="utf-8")
        for wanted in re.findall(r'#include "(tensorflow/[^"]+)"', files[path]):
            if wanted not in names:
                end = next((m for m in MISSING if wanted.endswith(m)), None)
                (out / flat(wanted)).write_text(
                    f"#pragma once\n{MISSING[end] if end else ''}", encoding="utf-8"
                )
    public = [
        flat(p) for p in names if Path(p).name in PUBLIC and "/c/" in p and "/core/async" not in p
    ]
    headers = "".join(f'  header "{name}"\n' for name in sorted(public))
    (out / "module.modulemap").write_text(
        f"module TensorFlowLiteC [system] {{\n{headers}  export *\n}}\n", encoding="utf-8"
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
