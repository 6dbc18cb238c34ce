import Foundation

/// An 8-bit RGB image: upright, opaque, sRGB.
public struct RGBImage: Equatable, Sendable {
  /// Larger ones are refused before they take the memory.
  public static let mostPixels = 64 << 20

  public let width: Int
  public let height: Int
  /// Rows from the top, three bytes a pixel: red, green, blue.
  public let pixels: [UInt8]

  /// - Throws: `QcnnError` if there are not 3 x width x height bytes.
  public init(width: Int, height: Int, pixels: [UInt8]) throws {
    try Self.check(width: width, height: height)
    guard pixels.count == 3 * width * height else {
      throw QcnnError(.badImage, "expected 3 x \(width) x \(height) bytes, got \(pixels.count)")
    }
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  /// Orders of four bytes a pixel as platforms give them; the fourth is ignored.
  public enum FourBytes: Sendable {
    case rgbx, bgrx
  }

  /// Copies pixels of four bytes.
  ///
  /// - Parameters:
  ///   - bytes: rows from the top.
  ///   - bytesPerRow: at least 4 x width; rows may be padded.
  /// - Throws: `QcnnError` if the bytes are too few.
  public init(
    _ order: FourBytes, bytes: UnsafeRawBufferPointer, width: Int, height: Int, bytesPerRow: Int
  ) throws {
    try Self.check(width: width, height: height)
    guard bytesPerRow >= 4 * width, bytes.count >= bytesPerRow * (height - 1) + 4 * width else {
      throw QcnnError(
        .badImage, "expected \(height) rows of \(4 * width) bytes, got \(bytes.count) bytes")
    }
    let red = order == .rgbx ? 0 : 2
    self.width = width
    self.height = height
    pixels = [UInt8](unsafeUninitializedCapacity: 3 * width * height) { target, count in
      var to = 0
      for y in 0..<height {
        var from = y * bytesPerRow
        for _ in 0..<width {
          target[to] = bytes[from + red]
          target[to + 1] = bytes[from + 1]
          target[to + 2] = bytes[from + 2 - red]
          from += 4
          to += 3
        }
      }
      count = to
    }
  }

  /// Reads a binary PPM (P6, 8 bits a channel): for tests, where no platform decodes.
  ///
  /// - Throws: `QcnnError` if it is something else.
  public init(ppm data: Data) throws {
    let bytes = [UInt8](data)
    var at = 0
    func isSpace(_ c: UInt8) -> Bool { c == 32 || (9...13).contains(c) }
    func token() throws -> String {
      while at < bytes.count {
        if bytes[at] == UInt8(ascii: "#") {
          while at < bytes.count, bytes[at] != 10 { at += 1 }
        } else if isSpace(bytes[at]) {
          at += 1
        } else {
          break
        }
      }
      let start = at
      while at < bytes.count, !isSpace(bytes[at]) { at += 1 }
      guard start < at else { throw QcnnError(.badImage, "the PPM's header ends early") }
      return String(decoding: bytes[start..<at], as: UTF8.self)
    }
    guard try token() == "P6" else { throw QcnnError(.badImage, "expected a PPM, P6") }
    guard let width = Int(try token()), let height = Int(try token()) else {
      throw QcnnError(.badImage, "the PPM does not say its size")
    }
    try Self.check(width: width, height: height)
    guard try token() == "255" else { throw QcnnError(.badImage, "expected 8 bits a channel") }
    at += 1
    let count = width * height * 3
    guard bytes.count >= at + count else { throw QcnnError(.badImage, "the PPM ends early") }
    try self.init(width: width, height: height, pixels: Array(bytes[at..<(at + count)]))
  }

  private static func check(width: Int, height: Int) throws {
    guard width > 0, height > 0, width <= mostPixels, height <= mostPixels,
      width * height <= mostPixels
    else { throw QcnnError(.badImage, "an image of \(width) x \(height) pixels cannot be read") }
  }

  /// Turned and mirrored as its EXIF orientation says; 1, and what is none, changes nothing.
  public func oriented(exif orientation: Int) -> RGBImage {
    guard (2...8).contains(orientation) else { return self }
    let turned = orientation >= 5
    let (w, h) = turned ? (height, width) : (width, height)
    var out = [UInt8](repeating: 0, count: pixels.count)
    pixels.withUnsafeBufferPointer { source in
      for y in 0..<h {
        for x in 0..<w {
          let (sx, sy): (Int, Int)
          switch orientation {
          case 2: (sx, sy) = (width - 1 - x, y)
          case 3: (sx, sy) = (width - 1 - x, height - 1 - y)
          case 4: (sx, sy) = (x, height - 1 - y)
          case 5: (sx, sy) = (y, x)
          case 6: (sx, sy) = (y, height - 1 - x)
          case 7: (sx, sy) = (width - 1 - y, height - 1 - x)
          default: (sx, sy) = (width - 1 - y, x)
          }
          let from = 3 * (sy * width + sx)
          let to = 3 * (y * w + x)
          out[to] = source[from]
          out[to + 1] = source[from + 1]
          out[to + 2] = source[from + 2]
        }
      }
    }
    return RGBImage(unchecked: out, width: w, height: h)
  }

  /// Of the middle gray.
  init(gray size: Preprocessing.Size) {
    self.init(
      unchecked: [UInt8](repeating: 127, count: 3 * size.height * size.width), width: size.width,
      height: size.height)
  }

  private init(unchecked pixels: [UInt8], width: Int, height: Int) {
    self.pixels = pixels
    self.width = width
    self.height = height
  }
}
