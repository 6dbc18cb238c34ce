// swift-tools-version:5.9
import PackageDescription

// The module TensorFlowLiteC: on Linux, where only the tests run, a module map over
// libtensorflowlite_c.so; on Apple's systems the XCFramework of ../fetch_tensorflowlite.sh.
#if os(Linux)
  let tensorFlowLite: Target = .systemLibrary(name: "TensorFlowLiteC")
#else
  let tensorFlowLite: Target = .binaryTarget(
    name: "TensorFlowLiteC", path: "Frameworks/TensorFlowLiteC.xcframework")
#endif

let package = Package(
  name: "QcnnKit",
  platforms: [.iOS(.v16), .macOS(.v13)],
  products: [
    .library(name: "QcnnKit", targets: ["QcnnKit"])
  ],
  dependencies: [
    .package(path: "../../custom_ops")
  ],
  targets: [
    tensorFlowLite,
    .target(
      name: "QcnnKit",
      dependencies: ["TensorFlowLiteC", .product(name: "QcnnOps", package: "custom_ops")],
      // Resizing a photo without optimisation takes seconds. Local packages may have this flag.
      swiftSettings: [.unsafeFlags(["-O"], .when(configuration: .debug))],
      linkerSettings: [.linkedLibrary("c++", .when(platforms: [.iOS, .macOS]))]),
    .testTarget(name: "QcnnKitTests", dependencies: ["QcnnKit"]),
    .testTarget(name: "QcnnKitSwiftTests", dependencies: ["QcnnKit"]),
  ]
)
