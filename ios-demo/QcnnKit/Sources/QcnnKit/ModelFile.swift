import Foundation
import QcnnOps

/// A model's file in memory, unchecked; mapped where the system can, so that weights are read when
/// they are used.
public final class ModelFile: @unchecked Sendable {
  private let data: NSData

  /// - Throws: `QcnnError` with `.gone` if it cannot be read.
  public init(contentsOf url: URL) throws {
    do {
      data = try NSData(contentsOf: url, options: .mappedIfSafe)
    } catch {
      throw QcnnError(
        .gone, "\(url.lastPathComponent) cannot be read (\(error.localizedDescription))")
    }
  }

  public init(_ data: Data) {
    self.data = NSData(data: data)
  }

  public var count: Int { data.length }

  /// Valid as long as the object is.
  var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: data.bytes, count: data.length)
  }

  /// Bytes of the file after deflate, as benchmarks report them; nil where the system has none.
  public var zippedCount: Int? {
    #if canImport(Darwin)
      return (try? data.compressed(using: .zlib))?.length
    #else
      return nil
    #endif
  }

  func qcnnOps() throws -> QcnnModelInfo {
    guard count >= 8, bytes[4..<8].elementsEqual("TFL3".utf8) else {
      throw QcnnError(
        .notAModel, "the file does not begin as a TensorFlow Lite model does")
    }
    var info = QcnnModelInfo()
    guard qcnn_check_model(bytes.baseAddress, bytes.count, &info) == QCNN_OK else {
      throw QcnnError(
        .damaged, "offsets in the model lead outside the file; it is cut off or damaged")
    }
    return info
  }

  /// The JSON of the entry `qcnn_tflite`, or nil where there is none.
  func metadata() throws -> Data? {
    var json: UnsafePointer<CChar>?
    var size = 0
    switch qcnn_read_metadata(bytes.baseAddress, bytes.count, &json, &size) {
    case QCNN_OK: return json.map { Data(bytes: $0, count: size) }
    case QCNN_NOT_FOUND: return nil
    default: throw QcnnError(.damaged, "the model's metadata lie outside the file")
    }
  }

  /// The mean image, float16 in the file, or nil where there is none.
  func meanImage() -> [Float]? {
    var values: UnsafeRawPointer?
    var size = 0
    guard qcnn_read_mean_image(bytes.baseAddress, bytes.count, &values, &size) == QCNN_OK,
      let values
    else { return nil }
    return (0..<(size / 2)).map {
      Self.float(
        half: UInt16(littleEndian: values.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)))
    }
  }

  /// Swift's Float16 is not there on Intel Macs.
  static func float(half: UInt16) -> Float {
    let sign: Float = half & 0x8000 != 0 ? -1 : 1
    let exponent = UInt32(half >> 10 & 0x1f)
    let fraction = UInt32(half & 0x3ff)
    switch exponent {
    case 0: return sign * Float(fraction) / 16_777_216
    case 31: return fraction == 0 ? sign * .infinity : .nan
    default: return sign * Float(bitPattern: (exponent + 112) << 23 | fraction << 13)
    }
  }
}
