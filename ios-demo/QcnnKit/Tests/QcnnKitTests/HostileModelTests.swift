import Foundation
import XCTest

@testable import QcnnKit

/// Models that cannot be used: each problem, by the way that leads to it.
final class HostileModelTests: XCTestCase {
  private var model = Data()

  override func setUpWithError() throws { model = try Fixtures.model(Fixtures.golden().model) }

  private func problem(
    of data: Data, ops: Ops = .registration(), says text: String = "", line: UInt = #line
  ) -> Problem? {
    do {
      _ = try Classifier(ModelFile(data), ops: ops)
      XCTFail("the model was taken", line: line)
      return nil
    } catch let error as QcnnError {
      XCTAssertTrue(text.isEmpty || error.message.contains(text), error.message, line: line)
      return error.problem
    } catch {
      XCTFail("\(error)", line: line)
      return nil
    }
  }

  func testNotAModel() {
    XCTAssertEqual(problem(of: Data()), .notAModel)
    XCTAssertEqual(problem(of: Data("hello, I am a text file".utf8)), .notAModel)
  }

  func testDamaged() {
    for share in [0.01, 0.3, 0.9, 0.999] {
      XCTAssertEqual(
        problem(of: model.prefix(Int(Double(model.count) * share))), .damaged, "\(share)")
    }
  }

  /// Bytes of the file turned at random, by seed: an answer or a `QcnnError`, and nothing else.
  func testRandomDamageNeverCrashes() throws {
    let image = try Fixtures.image("00.png")
    var state: UInt64 = 1
    func random(_ below: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % below
    }
    var refused = 0
    for _ in 0..<60 {
      var copy = model
      // The tables are at the file's beginning and end, constants between.
      for _ in 0..<4 {
        let at = random(2) == 0 ? random(4096) : copy.count - 1 - random(8192)
        copy[copy.startIndex + at] = UInt8(random(256))
      }
      do {
        _ = try Classifier(ModelFile(copy)).classify(image)
      } catch is QcnnError {
        refused += 1
      }
    }
    XCTAssertGreaterThan(refused, 0)
  }

  func testNoMetadata() {
    XCTAssertEqual(
      problem(of: model.replacing("qcnn_tflite", by: "qcnn_tflitx"), says: "qcnn_tflite"),
      .noMetadata)
  }

  func testMetadataThatContradict() {
    XCTAssertEqual(
      problem(of: model.replacing("\"crop\":[28,28]", by: "\"crop\":[99,28]"), says: "larger"),
      .badMetadata)
    XCTAssertEqual(
      problem(of: model.replacing("\"std\":[0.353]", by: "\"std\":[0.000]"), says: "must not be 0"),
      .badMetadata)
    XCTAssertEqual(
      problem(of: model.replacing("\"format\":1", by: "\"format\":2"), says: "format"), .badMetadata
    )
  }

  func testUnsupported() throws {
    XCTAssertEqual(
      problem(
        of: model.replacing("\"crop\":[28,28]", by: "\"crop\":[14,28]"), says: "[1, 14, 28, 1]"),
      .unsupported)
    XCTAssertEqual(
      problem(of: try Data(contentsOf: Fixtures.made("unsupported.tflite")), says: "an output"),
      .unsupported)
  }

  func testOpsMissing() {
    XCTAssertEqual(
      problem(of: model.replacing("QConv", by: "XConv"), says: "\"XConv\""), .opsMissing)
    XCTAssertEqual(problem(of: model, ops: .none, says: "left out"), .opsMissing)
  }

  func testKernelThatIsNotThere() {
    XCTAssertEqual(
      problem(of: model, ops: .registration(kernel: "abacus"), says: "reference"), .opsMissing)
    XCTAssertThrowsError(try QcnnDelegate(kernel: "abacus")) {
      XCTAssertEqual(($0 as? QcnnError)?.problem, .opsMissing)
      XCTAssertTrue("\($0)".contains("reference"))
    }
  }

  func testRefusedInPrepareByBothWays() throws {
    // An option that the op contract does not know.
    let hostile = model.replacing("activation", by: "activatiox")
    XCTAssertEqual(problem(of: hostile, says: "activatio"), .refused)
    XCTAssertEqual(
      problem(of: hostile, ops: .delegate(try QcnnDelegate()), says: "activatio"), .refused)
  }

  func testFileThatIsGone() {
    XCTAssertThrowsError(try Classifier(contentsOf: URL(fileURLWithPath: "/nowhere/net.tflite"))) {
      XCTAssertEqual(($0 as? QcnnError)?.problem, .gone)
    }
  }

  func testImageThatTheModelCannotTake() throws {
    let none = model.replacing("\"resize\":\"squash\"", by: "\"resize\":\"none\"  ")
    let classifier = try Classifier(ModelFile(none))
    XCTAssertNoThrow(try classifier.classify(Fixtures.image("00.png")))
    XCTAssertThrowsError(try classifier.classify(Fixtures.image("02.png"))) {
      XCTAssertEqual(($0 as? QcnnError)?.problem, .badImage)
    }
  }
}
