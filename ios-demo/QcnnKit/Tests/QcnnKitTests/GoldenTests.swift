import Foundation
import XCTest

@testable import QcnnKit

/// The answers of the Python package, through the real TensorFlow Lite C library.
final class GoldenTests: XCTestCase {
  func testRuntimeIsReal() {
    XCTAssertTrue(Libraries.tensorFlowLite.hasPrefix("2."), Libraries.tensorFlowLite)
  }

  /// The golden file is of the reference kernel.
  func testAnswersOfTheGoldenFile() throws {
    let golden = try Fixtures.golden()
    for ops in try bothWays(golden.kernel) { try check(golden, ops, { $0.top }) }
  }

  /// Every kernel answers what it answers in Python.
  func testAnswersOfEveryKernel() throws {
    let golden = try Fixtures.golden()
    let python = try Fixtures.answers()
    let kernels = Kernel.all.filter(\.isAvailable).map(\.name)
    XCTAssertEqual(Set(kernels), Set(python.keys))
    for kernel in kernels {
      let answers = try XCTUnwrap(python[kernel])
      for ops in try bothWays(kernel) {
        try check(golden, ops, { try XCTUnwrap(answers[$0.file]) })
      }
    }
  }

  func testTheFastestKernelUnlessAnotherIsAskedFor() throws {
    let golden = try Fixtures.golden()
    let answers = try XCTUnwrap(Fixtures.answers()[Kernel.selected])
    for ops in [Ops.registration(), .registration(lrn: false), .delegate(try QcnnDelegate())] {
      try check(golden, ops, { try XCTUnwrap(answers[$0.file]) })
    }
  }

  func testFloatTwinOnTheStockRuntime() throws {
    let golden = try Fixtures.golden()
    // TensorFlow Lite 2.9 does not know the newest versions of its ops.
    do {
      let twin = try ModelInfo(ModelFile(Fixtures.model(golden.model)))
      _ = try Classifier(ModelFile(Fixtures.model(golden.float)), ops: .none, twin: twin)
    } catch let error as QcnnError where Libraries.tensorFlowLite == "2.9.0" {
      XCTAssertTrue(error.message.contains("Didn't find op for builtin opcode"), error.message)
      throw XCTSkip("TensorFlow Lite 2.9.0 is too old for the float twin")
    }
    let twin = try ModelInfo(ModelFile(Fixtures.model(golden.model)))
    for ops in [Ops.none, .registration()] {
      let classifier = try Classifier(
        ModelFile(Fixtures.model(golden.float)), threads: 2, ops: ops, twin: twin)
      try check(golden, classifier, { $0.floatTop })
    }
  }

  func testThreadsDoNotChangeAnswers() throws {
    let golden = try Fixtures.golden()
    let file = ModelFile(try Fixtures.model(golden.model))
    let image = try Fixtures.image(golden.images[3].file)
    let one = try Classifier(file, threads: 1).probabilities(of: image)
    XCTAssertEqual(try Classifier(file, threads: 2).probabilities(of: image), one)
    XCTAssertEqual(try Classifier(file, threads: 3).probabilities(of: image), one)
  }

  func testPixelsAreThoseOfPython() throws {
    let golden = try Fixtures.golden()
    let info = try ModelInfo(ModelFile(Fixtures.model(golden.model)))
    for row in golden.images {
      let pixels = try info.preprocessing.pixels(of: Fixtures.image(row.file))
      let prepared = try Fixtures.image(row.prepared).pixels
      let expected =
        info.preprocessing.channels == .gray
        ? stride(from: 0, to: prepared.count, by: 3).map { prepared[$0] } : prepared
      XCTAssertEqual(pixels, expected, row.file)
    }
  }

  private func bothWays(_ kernel: String) throws -> [Ops] {
    [.registration(kernel: kernel), .delegate(try QcnnDelegate(kernel: kernel))]
  }

  private func check(
    _ golden: Fixtures.Golden, _ ops: Ops,
    _ expected: (Fixtures.Golden.Image) throws -> [Fixtures.Class]
  ) throws {
    let model = ModelFile(try Fixtures.model(golden.model))
    try check(golden, Classifier(model, threads: 2, ops: ops), expected)
  }

  private func check(
    _ golden: Fixtures.Golden, _ classifier: Classifier,
    _ expected: (Fixtures.Golden.Image) throws -> [Fixtures.Class]
  ) throws {
    var worst: Float = 0
    for row in golden.images {
      let top = try classifier.classify(Fixtures.image(row.file)).top
      let expected = try expected(row)
      XCTAssertEqual(top.count, 5)
      XCTAssertEqual(top.map(\.index), expected.map(\.index), row.file)
      XCTAssertEqual(top.map(\.label), expected.map(\.label), row.file)
      for (found, wanted) in zip(top, expected) {
        worst = max(worst, abs(found.probability - wanted.probability))
      }
    }
    let kernel = classifier.kernel ?? "none"
    print("golden: TensorFlow Lite \(Libraries.tensorFlowLite), kernel \(kernel): within \(worst)")
    XCTAssertLessThan(worst, 1e-4, "kernel \(kernel)")
  }
}
