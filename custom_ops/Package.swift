// swift-tools-version:5.9
// The kernels as a Swift package: `import QcnnOps`, on iPhone, simulator, Mac and Linux.
import PackageDescription

let package = Package(
  name: "QcnnOps",
  platforms: [.iOS(.v15), .macOS(.v12)],
  products: [
    .library(name: "QcnnOps", targets: ["QcnnOps"])
  ],
  targets: [
    .target(
      name: "QcnnOps",
      path: ".",
      exclude: [
        "CMakeLists.txt", "README.md", "bench", "cmake", "fuzz", "tests",
        // swift/ compiles these for their instruction sets: packages have no flags for single files.
        "core/lrn_avx2.cc", "core/qconv_avx2.cc", "core/qfc_avx2.cc",
        "core/lrn_avx512.cc", "core/qconv_avx512.cc", "core/qfc_avx512.cc",
        "core/qconv_avx512_vnni.cc", "core/qfc_avx512_vnni.cc",
        "core/qconv_neon_dotprod.cc",
      ],
      sources: ["core", "tflite", "swift"],
      publicHeadersPath: "include",
      cxxSettings: [
        .headerSearchPath("."),
        .define("QCNN_VERSION", to: "\"0.1.0\""),  // that of CMakeLists.txt; a test compares
        // An app's debug build must not be a slow build. Allowed because a package in a subfolder can
        // only be a local one.
        .unsafeFlags(["-O3"]),
      ]),
    .testTarget(name: "QcnnOpsTests", dependencies: ["QcnnOps"], path: "tests/swift"),
  ],
  cxxLanguageStandard: .cxx17
)
