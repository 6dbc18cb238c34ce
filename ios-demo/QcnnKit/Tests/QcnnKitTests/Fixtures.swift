import Foundation
import XCTest

@testable import QcnnKit

/// Files of the project, and those that tools/make_fixtures.py wrote to QCNN_FIXTURES.
enum Fixtures {
  static let project = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  static let assets = project.appendingPathComponent("ios-demo/Assets")

  static func made(_ name: String) throws -> URL {
    let folder = try XCTUnwrap(
      ProcessInfo.processInfo.environment["QCNN_FIXTURES"],
      "QCNN_FIXTURES: expected the folder that tools/make_fixtures.py wrote; run tools/test-ios")
    return URL(fileURLWithPath: folder).appendingPathComponent(name)
  }

  /// An image of the project, which the script has decoded.
  static func image(_ name: String) throws -> RGBImage {
    let stem = name.split(separator: ".")[0]
    return try RGBImage(ppm: Data(contentsOf: made("\(stem).ppm")))
  }

  static func model(_ name: String) throws -> Data {
    try Data(contentsOf: assets.appendingPathComponent("models/" + name))
  }

  struct Class: Decodable {
    let index: Int
    let label: String
    let probability: Float
  }

  struct Golden: Decodable {
    struct Image: Decodable {
      let file: String
      let prepared: String
      let top: [Class]
      let floatTop: [Class]
    }
    let model: String
    let float: String
    let kernel: String
    let images: [Image]
  }

  /// What the Python package answers: by kernel, then by image.
  static func answers() throws -> [String: [String: [Class]]] {
    try JSONDecoder().decode(
      [String: [String: [Class]]].self, from: Data(contentsOf: made("answers.json")))
  }

  static func golden() throws -> Golden {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let url = assets.appendingPathComponent("golden/golden.json")
    let golden = try decoder.decode(Golden.self, from: Data(contentsOf: url))
    XCTAssertGreaterThanOrEqual(golden.images.count, 4)
    return golden
  }
}

extension Data {
  /// With every occurrence of a text replaced by another of the same length: offsets stay right.
  func replacing(_ text: String, by other: String) -> Data {
    precondition(text.utf8.count == other.utf8.count)
    var copy = self
    var from = copy.startIndex
    var found = 0
    while let range = copy.range(of: Data(text.utf8), in: from..<copy.endIndex) {
      copy.replaceSubrange(range, with: Data(other.utf8))
      from = range.upperBound
      found += 1
    }
    precondition(found > 0, "\(text) is not in the file")
    return copy
  }
}
