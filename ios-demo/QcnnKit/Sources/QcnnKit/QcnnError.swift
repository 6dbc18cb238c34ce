/// What can be wrong with a model or an image. Each is a screen of the demo app.
public enum Problem: String, Sendable, CaseIterable {
  /// The file is no TensorFlow Lite model at all.
  case notAModel
  /// The file is cut off, or its offsets lead outside.
  case damaged
  /// The model has no entry `qcnn_tflite`: nothing says how its input is prepared.
  case noMetadata
  /// The entry is no JSON, of another format, or contradicts itself.
  case badMetadata
  /// Not one float image in and one float a class out.
  case unsupported
  /// A custom op that nobody here has.
  case opsMissing
  /// The runtime, or a layer of ours when it was prepared, said no.
  case refused
  /// There is not enough memory for the model.
  case outOfMemory
  /// The file cannot be read, or is not there any more.
  case gone
  /// An image that cannot be decoded, or that the model cannot take.
  case badImage
}

/// A model or an image that cannot be used; `message` is a sentence for people who make models.
public struct QcnnError: Error, Equatable, Sendable, CustomStringConvertible {
  public let problem: Problem
  public let message: String

  public init(_ problem: Problem, _ message: String) {
    self.problem = problem
    self.message = message
  }

  public var description: String { message }
}
