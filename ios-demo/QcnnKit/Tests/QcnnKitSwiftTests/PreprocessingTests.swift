import Foundation
import Testing

@testable import QcnnKit

/// tests/golden/preprocessing.json, which the Python package writes.
struct PreprocessingTests {
  struct Cases: Decodable {
    let cases: [Case]
  }
  struct Case: Decodable {
    let name: String
    let image: String
    let shape: [Int]
    let pixels: Data
    let values: Data
    let meanImage: Data?
  }

  static let golden = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("tests/golden/preprocessing.json")

  @Test func pixelsAndValuesAreThoseOfPython() throws {
    let data = try Data(contentsOf: Self.golden)
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let cases = try decoder.decode(Cases.self, from: data).cases
    let json = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
    let inputs = try #require(json["cases"] as? [[String: Any]]).map { $0["input"] as Any }
    let fixtures = try #require(
      ProcessInfo.processInfo.environment["QCNN_FIXTURES"], "run tools/test-ios")
    #expect(cases.count >= 10)
    for (row, input) in zip(cases, inputs) {
      let metadata = try JSONSerialization.data(withJSONObject: ["format": 1, "input": input])
      let meanImage = row.meanImage.map { data in
        data.withUnsafeBytes { bytes in
          (0..<(bytes.count / 2)).map {
            ModelFile.float(half: bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self))
          }
        }
      }
      let info = try ModelInfo(metadata: metadata, meanImage: { meanImage })
      let stem = row.image.split(separator: ".")[0]
      let image = try RGBImage(
        ppm: Data(contentsOf: URL(fileURLWithPath: fixtures + "/\(stem).ppm")))
      #expect(info.preprocessing.inputShape == [1] + row.shape, "\(row.name)")
      let pixels = try info.preprocessing.pixels(of: image)
      #expect(pixels.count == row.pixels.count, "\(row.name)")
      let off = zip(pixels, row.pixels).map { abs(Int($0) - Int($1)) }.max()
      #expect(off == 0, "\(row.name)")
      let values = try info.preprocessing.values(of: image)
      let expected = row.values.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
      #expect(values.count == expected.count, "\(row.name)")
      let worst = zip(values, expected).map { abs($0 - $1) / max(1, abs($1)) }.max() ?? 1
      #expect(worst < 1e-6, "\(row.name)")
    }
  }

  @Test func tooOblong() throws {
    let preprocessing = try Preprocessing(
      size: .init(height: 4096, width: 4096), crop: .init(height: 1, width: 1), resize: .shorterSide
    )
    let line = try RGBImage(
      width: 4_000, height: 1, pixels: [UInt8](repeating: 0, count: 12_000))
    #expect(throws: QcnnError.self) { try preprocessing.pixels(of: line) }
  }

  @Test(arguments: [
    (#"{"format": 1}"#, "input"),
    (#"{"format": 1, "input": {}}"#, "input"),
    (#"{"format": true, "input": {"size": [4, 4]}}"#, "format"),
    (#"{"format": 1, "input": {"size": [4]}}"#, "size"),
    (#"{"format": 1, "input": {"size": [4, true]}}"#, "size"),
    (#"{"format": 1, "input": {"size": [4, 4.5]}}"#, "size"),
    (#"{"format": 1, "input": {"size": [0, 4]}}"#, "sides"),
    (#"{"format": 1, "input": {"size": [4, 99999]}}"#, "sides"),
    (#"{"format": 1, "input": {"size": [16384, 16384]}}"#, "too large"),
    (#"{"format": 1, "input": {"size": [4, 4], "crop": [5, 4]}}"#, "larger"),
    (#"{"format": 1, "input": {"size": [4, 4], "resize": "stretch"}}"#, "resize"),
    (#"{"format": 1, "input": {"size": [4, 4], "channels": ["RGB"]}}"#, "channels"),
    (#"{"format": 1, "input": {"size": [4, 4], "mean": [1, 2]}}"#, "mean"),
    (#"{"format": 1, "input": {"size": [4, 4], "std": [1, 2, 0]}}"#, "must not be 0"),
    (#"{"format": 1, "input": {"size": [4, 4], "scale": 1e300}}"#, "finite"),
    (#"{"format": 1, "input": {"size": [4, 4], "mean_image": true}}"#, "there is none"),
    ("nonsense", "not JSON"),
  ])
  func badMetadata(_ json: String, _ says: String) {
    do {
      _ = try ModelInfo(metadata: Data(json.utf8))
      Issue.record("the metadata were taken")
    } catch let error as QcnnError {
      #expect(error.problem == .badMetadata)
      #expect(error.message.contains(says), "\(error.message)")
    } catch {
      Issue.record("\(error)")
    }
  }

  @Test func metadataThatAreNotUTF8() {
    #expect(throws: QcnnError(.badMetadata, "the metadata are not UTF-8")) {
      try ModelInfo(metadata: Data(#"{"model": ""#.utf8) + Data([0xff, 0xfe]) + Data(#""}"#.utf8))
    }
  }

  @Test func deepNestingDoesNotReachTheParser() {
    #expect(throws: QcnnError(.badMetadata, "the metadata are nested too deeply")) {
      try ModelInfo(metadata: Data(String(repeating: "[", count: 100_000).utf8))
    }
  }

  @Test func unknownKeysAreIgnoredAndDefaultsHold() throws {
    let json = #"{"format": 1, "x": [{}], "input": {"size": [2, 3], "crop": null, "y": 1}}"#
    let info = try ModelInfo(metadata: Data(json.utf8))
    let defaults = try Preprocessing(size: .init(height: 2, width: 3))
    #expect(info.preprocessing == defaults)
    #expect(info.softmaxApplied == nil)
    #expect(info.label(3) == "class 3")
  }

  @Test func halves() {
    #expect(ModelFile.float(half: 0x3c00) == 1)
    #expect(ModelFile.float(half: 0xc000) == -2)
    #expect(ModelFile.float(half: 0x0001) == 0x1p-24)
    #expect(ModelFile.float(half: 0x7bff) == 65504)
    #expect(ModelFile.float(half: 0xfc00) == -.infinity)
    #expect(ModelFile.float(half: 0x7e00).isNaN)
  }
}
