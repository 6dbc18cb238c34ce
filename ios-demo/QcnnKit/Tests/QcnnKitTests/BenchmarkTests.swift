import Foundation
import XCTest

@testable import QcnnKit

/// Real measurements of the app's model.
final class BenchmarkTests: XCTestCase {
  private func measure(progress: @escaping (Int, Int) -> Bool) throws -> Benchmark.Outcome? {
    let golden = try Fixtures.golden()
    let models = Fixtures.assets.appendingPathComponent("models")
    let folders = ModelFolders(bundled: models, imported: models.appendingPathComponent("none"))
    let entry = try XCTUnwrap(folders.entries().first { $0.id == golden.model })
    XCTAssertEqual(entry.twin?.lastPathComponent, golden.float)
    // TensorFlow Lite 2.9 is too old for the float twin: there, the model alone.
    let alone = ModelEntry(id: entry.id, url: entry.url)
    let images = try golden.images.map { try Fixtures.image($0.file) }
    return try Benchmark(runs: 7, warmUp: 2).measure(
      Libraries.tensorFlowLite == "2.9.0" ? alone : entry, Setting(threads: 1), images: images,
      progress: progress)
  }

  func testMeasuresAndWritesTheHarnessesJSON() throws {
    var steps = 0
    let outcome = try XCTUnwrap(
      measure { done, total in
        steps += 1
        XCTAssertEqual(done, steps)
        XCTAssertEqual(total % 9, 0)
        return true
      })
    let q = outcome.measurements[0]
    XCTAssertEqual(q.variant, "q")
    XCTAssertEqual(q.samplesMs.count, 7)
    XCTAssertGreaterThan(q.medianMs, 0)
    XCTAssertGreaterThan(q.packedBytes, 0)
    XCTAssertEqual(q.kernel, Kernel.selected)
    XCTAssertEqual(outcome.images, 8)
    if outcome.measurements.count == 2 {
      XCTAssertEqual(outcome.measurements[1].variant, "float")
      XCTAssertNil(outcome.measurements[1].kernel)
      XCTAssertGreaterThan(try XCTUnwrap(outcome.agreement), 0.5)
    }
    // Nothing deflates in Swift on Linux.
    let measurements = try outcome.measurements.map { measured in
      Benchmark.Measurement(
        name: measured.name, variant: measured.variant, samplesMs: measured.samplesMs,
        loadMs: measured.loadMs, fileBytes: measured.fileBytes,
        zippedBytes: try zipped(measured.name), packedBytes: measured.packedBytes,
        scratchBytes: measured.scratchBytes, kernel: measured.kernel, lrn: measured.lrn)
    }
    let json = try ResultDocument(
      measurements, machine: .describe(), threads: 1, runtimeVersion: Libraries.tensorFlowLite,
      versions: ["qcnn": Libraries.qcnn], date: Date()
    ).json()
    // tools/test-ios compares it with benchmarks/schema/result-1.json.
    if let path = ProcessInfo.processInfo.environment["QCNN_RESULT_JSON"] {
      try json.write(to: URL(fileURLWithPath: path))
    }
  }

  func testImagesThatTheModelCannotTakeAreLeftOut() throws {
    let golden = try Fixtures.golden()
    let data = try Fixtures.model(golden.model)
      .replacing("\"resize\":\"squash\"", by: "\"resize\":\"none\"  ")
    let url = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try data.write(to: url)
    defer { try? FileManager.default.removeItem(at: url) }
    let images = try golden.images.map { try Fixtures.image($0.file) }
    let fitting = images.filter { $0.width == 28 && $0.height == 28 }.count
    XCTAssertTrue((1..<images.count).contains(fitting))
    let entry = ModelEntry(id: "none", url: url)
    for (some, count) in [(images, fitting), (images.filter { $0.width != 28 }, 1)] {
      let outcome = try Benchmark(runs: 1, warmUp: 0).measure(
        entry, Setting(threads: 1), images: some
      ) { _, _ in true }
      XCTAssertEqual(outcome?.images, count)
    }
  }

  func testIsStopped() throws {
    XCTAssertNil(try measure { done, _ in done < 3 })
  }

  private func zipped(_ name: String) throws -> Int {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: "/bin/gzip")
    process.arguments = ["-6", "-c", Fixtures.assets.path + "/models/\(name).tflite"]
    process.standardOutput = pipe
    try process.run()
    let bytes = pipe.fileHandleForReading.readDataToEndOfFile().count
    process.waitUntilExit()
    return bytes - 18  // gzip's own head and tail
  }
}
