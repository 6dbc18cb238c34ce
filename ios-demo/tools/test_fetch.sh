#!/usr/bin/env bash
# fetch_tensorflowlite.sh on archives of its form: unpacked whole with the plists that slices lack, or nothing.
set -euo pipefail
fetch=$(cd "$(dirname "$0")/.." && pwd)/fetch_tensorflowlite.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "test_fetch: $*" >&2; exit 1; }

xc=$work/TensorFlowLiteC-2.17.0/Frameworks/TensorFlowLiteC.xcframework
for slice in ios-arm64 ios-arm64_x86_64-simulator; do
  mkdir -p "$xc/$slice/TensorFlowLiteC.framework"
  echo object >"$xc/$slice/TensorFlowLiteC.framework/TensorFlowLiteC"
done
echo plist >"$xc/Info.plist"
tar -czf "$work/good.tar.gz" -C "$work" TensorFlowLiteC-2.17.0
sum=$(sha256sum "$work/good.tar.gz" | cut -d ' ' -f 1)

export QCNN_FRAMEWORKS=$work/out
! "$fetch" "$work/good.tar.gz" 2>"$work/err" || fail "an archive with another checksum was taken"
grep -q 'expected SHA-256 9667b476015f136e' "$work/err" || fail "$(cat "$work/err")"
[ -z "$(ls -A "$work/out")" ] || fail "a refused archive left $(ls -A "$work/out")"

export QCNN_TENSORFLOWLITE_SHA256=$sum
! "$fetch" "$work/missing.tar.gz" 2>/dev/null || fail "an archive that is not there was taken"
"$fetch" "$work/good.tar.gz" >/dev/null
for slice in ios-arm64 ios-arm64_x86_64-simulator; do
  python3 - "$work/out/TensorFlowLiteC.xcframework/$slice/TensorFlowLiteC.framework/Info.plist" <<'PYTHON'
import plistlib, sys
info = plistlib.load(open(sys.argv[1], "rb"))
assert info["CFBundleExecutable"] == "TensorFlowLiteC" and info["CFBundlePackageType"] == "FMWK", info
assert info["MinimumOSVersion"] == "12.0" and info["CFBundleShortVersionString"] == "2.17.0", info
PYTHON
done
"$fetch" "$work/missing.tar.gz" | grep -q 'is there' || fail "run again, it did something"
[ "$(ls -A "$work/out")" = TensorFlowLiteC.xcframework ] || fail "rubbish: $(ls -A "$work/out")"
echo "fetch_tensorflowlite: 4 checks passed"
