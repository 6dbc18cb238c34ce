import Foundation
import QcnnOps

/// What a model file says about itself. The file may come from anyone: it is checked by the native
/// library before a runtime sees it, and what the metadata hold is checked here.
public struct ModelInfo: Sendable, Equatable {
  /// The network's name.
  public let name: String?
  public let licence: String?
  public let preprocessing: Preprocessing
  /// Names of the classes; may be fewer than there are.
  public let labels: [String]
  /// Whether the output is probabilities already; nil: look at it.
  public let softmaxApplied: Bool?
  /// Numbers of QConv and QFC, both 0 in a float model, and of LOCAL_RESPONSE_NORMALIZATION.
  public let qconv: Int
  public let qfc: Int
  public let lrn: Int

  /// Whether layers of ours are in it.
  public var isQuantized: Bool { qconv + qfc > 0 }

  public func label(_ index: Int) -> String {
    labels.indices.contains(index) ? labels[index] : "class \(index)"
  }

  /// Checks a model and reads its metadata.
  ///
  /// - Parameters:
  ///   - twin: says how images are prepared where the model itself does not: a float model as another
  ///     tool wrote it, beside its quantized twin.
  /// - Throws: `QcnnError`
  public init(_ file: ModelFile, twin: ModelInfo? = nil) throws {
    let ops = try file.qcnnOps()
    if let name = ops.foreign_op {
      let bytes = UnsafeRawBufferPointer(start: name, count: min(64, ops.foreign_op_size))
      throw QcnnError(
        .opsMissing,
        "the model has the custom op \"\(String(decoding: bytes, as: UTF8.self))\", of which there "
          + "is no kernel here")
    }
    let counts = [ops.qconv, ops.qfc, ops.lrn].map { Int($0) }
    if let json = try file.metadata() {
      try self.init(metadata: json, counts: counts, meanImage: file.meanImage)
    } else if let twin {
      self.init(
        name: twin.name, licence: twin.licence, preprocessing: twin.preprocessing,
        labels: twin.labels, softmaxApplied: nil, counts: counts)
    } else {
      throw QcnnError(.noMetadata, "the model has no metadata \"qcnn_tflite\"")
    }
  }

  init(metadata: Data, counts: [Int] = [0, 0, 0], meanImage: () -> [Float]? = { nil }) throws {
    let json = try JSON(metadata)
    guard json["format"]?.integer == 1 else {
      throw QcnnError(
        .badMetadata, "the metadata have another format, this app reads format 1; update it")
    }
    let output = json["output"]
    self.init(
      name: json["model"]?.string, licence: json["licence"]?.string,
      preprocessing: try Self.preprocessing(json["input"], meanImage: meanImage),
      labels: (output?["labels"]?.array ?? []).enumerated().map { $1.string ?? "class \($0)" },
      softmaxApplied: output?["softmax_applied"]?.bool, counts: counts)
  }

  private init(
    name: String?, licence: String?, preprocessing: Preprocessing, labels: [String],
    softmaxApplied: Bool?, counts: [Int]
  ) {
    self.name = name
    self.licence = licence
    self.preprocessing = preprocessing
    self.labels = labels
    self.softmaxApplied = softmaxApplied
    qconv = counts[0]
    qfc = counts[1]
    lrn = counts[2]
  }

  private static func preprocessing(
    _ input: JSON?, meanImage: () -> [Float]?
  ) throws -> Preprocessing {
    guard let input, let size = try sides("size", input["size"]) else {
      throw QcnnError(.badMetadata, "the metadata have no \"input\" with a \"size\"")
    }
    var image: [Float]?
    if input["mean_image"]?.bool == true {
      image = meanImage()
      guard image != nil else {
        throw QcnnError(.badMetadata, "the metadata announce a mean image, and there is none")
      }
    }
    return try Preprocessing(
      size: size, crop: try sides("crop", input["crop"]),
      resize: try name("resize", input["resize"]) ?? .squash,
      channels: try name("channels", input["channels"]) ?? .rgb,
      scale: try numbers("scale", input["scale"].map { .array([$0]) })?.first ?? 1,
      mean: try numbers("mean", input["mean"]), std: try numbers("std", input["std"]),
      meanImage: image)
  }

  private static func sides(_ key: String, _ value: JSON?) throws -> Preprocessing.Size? {
    guard let value, value != .null else { return nil }
    let sides = value.array?.compactMap(\.integer) ?? []
    guard sides.count == 2, value.array?.count == 2 else {
      throw QcnnError(.badMetadata, "\(key): expected [height, width], got \(value)")
    }
    return Preprocessing.Size(height: sides[0], width: sides[1])
  }

  private static func numbers(_ key: String, _ value: JSON?) throws -> [Float]? {
    guard let value else { return nil }
    let numbers = value.array?.compactMap(\.number) ?? []
    guard let array = value.array, numbers.count == array.count, numbers.allSatisfy(\.isFinite)
    else { throw QcnnError(.badMetadata, "\(key): expected finite numbers, got \(value)") }
    return numbers.map { Float($0) }
  }

  private static func name<Name: RawRepresentable & CaseIterable>(
    _ key: String, _ value: JSON?
  ) throws -> Name? where Name.RawValue == String {
    guard let value else { return nil }
    guard let name = value.string.flatMap(Name.init(rawValue:)) else {
      let known = Name.allCases.map(\.rawValue).joined(separator: ", ")
      throw QcnnError(.badMetadata, "\(key): expected one of \(known), got \(value)")
    }
    return name
  }
}
