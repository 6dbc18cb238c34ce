#!/usr/bin/env bash
# Fetches TensorFlowLiteC 2.17.0 for QcnnKit: Google's own archive, the source of the pod of this name and
# version, checked by its SHA-256.
#
#   ios-demo/fetch_tensorflowlite.sh [ARCHIVE]
#
# ARCHIVE: a copy that is there already. Writes QcnnKit/Frameworks/TensorFlowLiteC.xcframework, whole or
# not at all; run again, it does nothing.
set -euo pipefail

version=2.17.0
sha256=9667b476015f136e5b332ce040e12822c4ac6d5c58947882ddc809cdff0fb99e
address=https://dl.google.com/tflite-release/ios/prod/tensorflow/lite/release/ios/release/32/20240729-115310/TensorFlowLiteC/$version/0c10b3543e01f547/TensorFlowLiteC-$version.tar.gz
# Tests hand in an archive of their own.
sha256=${QCNN_TENSORFLOWLITE_SHA256:-$sha256}

archive=${1:-}
[ -z "$archive" ] || archive=$(cd "$(dirname "$archive")" && pwd)/$(basename "$archive")
frameworks=${QCNN_FRAMEWORKS:-$(cd "$(dirname "$0")" && pwd)/QcnnKit/Frameworks}
target=$frameworks/TensorFlowLiteC.xcframework

fail() { echo "fetch_tensorflowlite: $*" >&2; exit 1; }
sum() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1; }

if [ -f "$target/Info.plist" ]; then
  echo "fetch_tensorflowlite: $target is there"
  exit 0
fi
mkdir -p "$frameworks"
work=$(mktemp -d "$frameworks/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT

if [ -z "$archive" ]; then
  archive=$work/archive.tar.gz
  curl --fail --location --retry 3 --output "$archive" "$address" ||
    fail "the archive could not be fetched; fetch it by hand and name it: $0 TensorFlowLiteC-$version.tar.gz"
fi
[ -f "$archive" ] || fail "there is no $archive"
found=$(sum "$archive")
[ "$found" = "$sha256" ] || fail "$archive is another file: expected SHA-256 $sha256, got $found; fetch it again"

tar -xzf "$archive" -C "$work" "TensorFlowLiteC-$version/Frameworks/TensorFlowLiteC.xcframework" ||
  fail "$archive does not hold TensorFlowLiteC.xcframework"
unpacked=$work/TensorFlowLiteC-$version/Frameworks/TensorFlowLiteC.xcframework

# The slices are static frameworks without Info.plist. Xcode copies a package's binary framework into the app
# and then misses it; the store refuses the app for keys that it lacks.
slices=0
for slice in "$unpacked"/*/TensorFlowLiteC.framework; do
  [ -d "$slice" ] || continue
  slices=$((slices + 1))
  [ -f "$slice/Info.plist" ] || cat >"$slice/Info.plist" <<PLIST
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>CFBundleExecutable</key>
	<string>TensorFlowLiteC</string>
	<key>CFBundleIdentifier</key>
	<string>org.tensorflow.TensorFlowLiteC</string>
	<key>CFBundleName</key>
	<string>TensorFlowLiteC</string>
	<key>CFBundlePackageType</key>
	<string>FMWK</string>
	<key>CFBundleShortVersionString</key>
	<string>$version</string>
	<key>CFBundleVersion</key>
	<string>$version</string>
	<key>MinimumOSVersion</key>
	<string>12.0</string>
</dict>
</plist>
PLIST
done
[ "$slices" -gt 0 ] || fail "$archive has no slices of TensorFlowLiteC.framework"
mv "$unpacked" "$target"
echo "fetch_tensorflowlite: $target, $slices slices"
