import Foundation

/// Measurements as JSON in the format of the project's benchmarks, `benchmarks/schema/result-1.json`.
public struct ResultDocument: Encodable, Sendable {
  let format = 1
  let results: [Result]

  struct Result: Encodable, Sendable {
    struct Runtime: Encodable, Sendable {
      let name, version: String
    }
    struct Summary: Encodable, Sendable {
      let median, p10, p90, min: Double
    }
    struct Sizes: Encodable, Sendable {
      let file: Int
      let zipped: Int
      let repacked: Int?
      let scratch: Int?
    }
    struct Machine: Encodable, Sendable {
      let cpu: String
      let cpus: Int
      let instructionSet: String
      let features: [String]
      let system: String
    }
    let model, variant: String
    let lrn: String?
    let machine: Machine
    let kernel: Null<String>
    let threads, batch: Int
    let runtime: Runtime
    let versions: [String: String]
    let date: String
    let samplesMs: [Double]
    let summaryMs: Summary
    let loadMs: Double
    let sizes: Sizes
  }

  /// A value that is written as null where it is absent, and not left out.
  struct Null<Value: Encodable & Sendable>: Encodable, Sendable {
    let value: Value?

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      if let value { try container.encode(value) } else { try container.encodeNil() }
    }
  }

  /// A document of one interleaved run.
  ///
  /// - Parameters:
  ///   - runtimeVersion: of TensorFlow Lite.
  ///   - versions: of the app and others, by name.
  /// - Throws: `QcnnError` if a measurement lacks the bytes after deflate, which the format requires.
  public init(
    _ measurements: [Benchmark.Measurement], machine: Machine, threads: Int, runtimeVersion: String,
    versions: [String: String], date: Date
  ) throws {
    results = try measurements.map { measured in
      guard let zipped = measured.zippedBytes else {
        throw QcnnError(.outOfMemory, "\(measured.name) could not be deflated")
      }
      return Result(
        model: measured.name, variant: measured.variant, lrn: measured.lrn,
        machine: .init(
          cpu: machine.cpu, cpus: machine.cpus, instructionSet: machine.instructionSet,
          features: machine.features, system: machine.system),
        kernel: Null(value: measured.kernel), threads: threads, batch: 1,
        runtime: .init(name: "TensorFlow Lite", version: runtimeVersion), versions: versions,
        date: date.formatted(.iso8601), samplesMs: measured.samplesMs,
        summaryMs: .init(
          median: measured.medianMs, p10: quantile(measured.samplesMs, 0.1), p90: measured.p90Ms,
          min: measured.samplesMs.min() ?? .nan),
        loadMs: measured.loadMs,
        sizes: .init(
          file: measured.fileBytes, zipped: zipped,
          repacked: measured.variant == "q" ? measured.packedBytes : nil,
          scratch: measured.variant == "q" ? measured.scratchBytes : nil))
    }
  }

  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return try encoder.encode(self)
  }
}
