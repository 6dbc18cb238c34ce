import Foundation

/// A value of JSON that anyone may have written: numbers, truth values and texts are told apart, and
/// deep nesting is refused before a parser recurses.
enum JSON: Equatable, Decodable, CustomStringConvertible {
  case null
  case bool(Bool)
  case number(Double)
  case string(String)
  case array([JSON])
  case object([String: JSON])

  private static let deepest = 32

  /// - Throws: `QcnnError` with `.badMetadata`.
  init(_ data: Data) throws {
    var depth = 0
    var inText = false
    var escaped = false
    for byte in data {
      if escaped {
        escaped = false
      } else if inText {
        escaped = byte == UInt8(ascii: "\\")
        inText = byte != UInt8(ascii: "\"")
      } else if byte == UInt8(ascii: "\"") {
        inText = true
      } else if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") {
        depth += 1
        guard depth <= Self.deepest else {
          throw QcnnError(.badMetadata, "the metadata are nested too deeply")
        }
      } else if byte == UInt8(ascii: "]") || byte == UInt8(ascii: "}") {
        depth -= 1
      }
    }
    // Foundation on Linux ends the process at a text that is not UTF-8.
    guard String(data: data, encoding: .utf8) != nil else {
      throw QcnnError(.badMetadata, "the metadata are not UTF-8")
    }
    do {
      self = try JSONDecoder().decode(JSON.self, from: data)
    } catch {
      throw QcnnError(.badMetadata, "the metadata are not JSON")
    }
  }

  init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .null
    } else if let bool = try? value.decode(Bool.self) {
      self = .bool(bool)
    } else if let number = try? value.decode(Double.self) {
      self = .number(number)
    } else if let string = try? value.decode(String.self) {
      self = .string(string)
    } else if let array = try? value.decode([JSON].self) {
      self = .array(array)
    } else {
      self = .object(try value.decode([String: JSON].self))
    }
  }

  subscript(key: String) -> JSON? {
    guard case .object(let object) = self else { return nil }
    return object[key]
  }

  var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  var number: Double? { if case .number(let value) = self { value } else { nil } }
  var integer: Int? { number.flatMap { Int(exactly: $0) } }
  var string: String? { if case .string(let value) = self { value } else { nil } }
  var array: [JSON]? { if case .array(let value) = self { value } else { nil } }

  var description: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .number(let value): "\(value)"
    case .string(let value): "\"\(value.prefix(32))\""
    case .array(let values): "[\(values.prefix(8).map(\.description).joined(separator: ", "))]"
    case .object: "an object"
    }
  }
}
