import Foundation
import QcnnKit
import XCTest

@testable import QcnnDemo

/// The answers of the Python package on this device: platform decoding, NEON kernels, the framework.
@MainActor
final class GoldenTests: XCTestCase {
  private struct Golden: Decodable {
    struct Class: Decodable {
      let index: Int
      let probability: Float
    }
    struct Image: Decodable {
      let file: String
      let top: [Class]
    }
    let model: String
    let kernel: String
    let images: [Image]
  }

  private var assets: URL {
    Bundle.main.bundleURL.appendingPathComponent("Assets")
  }

  private func golden() throws -> Golden {
    try JSONDecoder().decode(
      Golden.self, from: Data(contentsOf: assets.appendingPathComponent("golden/golden.json")))
  }

  func testReferenceKernelAnswersAsPython() throws {
    let golden = try golden()
    try check(golden, .registration(kernel: golden.kernel), within: 1e-4)
    try check(golden, .delegate(QcnnDelegate(kernel: golden.kernel)), within: 1e-4)
  }

  func testFastestKernelAnswersAlike() throws {
    XCTAssertNotEqual(Kernel.selected, "reference")
    try check(golden(), .registration(), within: 2e-2)
    try check(golden(), .delegate(QcnnDelegate()), within: 2e-2)
  }

  func testGoldenImagesAreTheBenchmarks() throws {
    let images = try GoldenImages.load(from: assets.appendingPathComponent("golden"))
    XCTAssertEqual(images.count, try golden().images.count)
  }

  func testLatency() throws {
    let golden = try golden()
    let model = assets.appendingPathComponent("models/" + golden.model)
    let classifier = try Classifier(contentsOf: model, threads: Machine.bigCores)
    let image = try GoldenImages.load(from: assets.appendingPathComponent("golden"))[0]
    _ = try classifier.classify(image)
    measure { _ = try? classifier.classify(image) }
  }

  private func check(_ golden: Golden, _ ops: Ops, within tolerance: Float) throws {
    let model = try ModelFile(contentsOf: assets.appendingPathComponent("models/" + golden.model))
    let classifier = try Classifier(model, threads: 2, ops: ops)
    for row in golden.images {
      let data = try Data(contentsOf: assets.appendingPathComponent("golden/" + row.file))
      let top = try classifier.classify(PhotoDecoder.decode(data)).top
      XCTAssertEqual(top[0].index, row.top[0].index, row.file)
      for (found, wanted) in zip(top, row.top) {
        XCTAssertEqual(found.probability, wanted.probability, accuracy: tolerance, row.file)
      }
    }
  }
}
