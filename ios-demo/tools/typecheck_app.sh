#!/usr/bin/env bash
# Type-checks the app's sources against stand-ins for Apple's modules (tools/stand-ins) and the real
# QcnnKit. Runs in the Swift root:
#
#   typecheck_app.sh SCRATCH OUT [SOURCES]
#
# SCRATCH: where `swift build` of QcnnKit built; OUT: for the stand-ins' modules; SOURCES: a folder in
# place of the app's.
set -euo pipefail
demo=$(cd "$(dirname "$0")/.." && pwd)
scratch=$1 out=$2 sources=${3:-$demo/QcnnDemo/QcnnDemo}
mkdir -p "$out"
for module in Combine CoreGraphics ImageIO UIKit UniformTypeIdentifiers AVFoundation SwiftUI PhotosUI; do
  stand_in=$demo/tools/stand-ins/$module.swift
  [ "$out/$module.swiftmodule" -nt "$stand_in" ] || swiftc -swift-version 5 -emit-module \
    -parse-as-library -suppress-warnings -module-name "$module" -I "$out" \
    -emit-module-path "$out/$module.swiftmodule" "$stand_in"
done
swiftc -swift-version 5 -typecheck -warnings-as-errors -parse-as-library -module-name QcnnDemo \
  -I "$out" -I "$scratch/debug/Modules" -I "$demo/QcnnKit/Sources/TensorFlowLiteC" \
  -Xcc "-fmodule-map-file=$demo/../custom_ops/include/module.modulemap" "$sources"/*.swift
