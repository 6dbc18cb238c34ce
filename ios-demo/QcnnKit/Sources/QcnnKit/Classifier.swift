import Foundation

/// A class, its name and share of the probability.
public struct Prediction: Equatable, Sendable, Identifiable {
  public let index: Int
  public let label: String
  public let probability: Float

  public var id: Int { index }

  public init(index: Int, label: String, probability: Float) {
    self.index = index
    self.label = label
    self.probability = probability
  }
}

/// The most probable classes, and what it took: milliseconds.
public struct Answer: Equatable, Sendable {
  public let top: [Prediction]
  public let prepareMs: Double
  public let inferenceMs: Double

  public init(top: [Prediction], prepareMs: Double, inferenceMs: Double) {
    self.top = top
    self.prepareMs = prepareMs
    self.inferenceMs = inferenceMs
  }
}

/// What classifies images: `Classifier`, or a fake in tests.
public protocol Classifying: AnyObject, Sendable {
  func classify(_ image: RGBImage) throws -> Answer
}

/// An image classifier: one model in one interpreter. May be called from any thread; calls take turns.
///
///     let classifier = try Classifier(contentsOf: url)
///     let answer = try classifier.classify(image)
///     print(answer.top[0].label)
public final class Classifier: Classifying, @unchecked Sendable {
  public let info: ModelInfo
  /// The kernel of ours that runs; nil where none does.
  public let kernel: String?
  private let interpreter: Interpreter
  private let classes: Int
  private let lock = NSLock()

  public convenience init(contentsOf url: URL, threads: Int = 1) throws {
    try self.init(ModelFile(contentsOf: url), threads: threads)
  }

  /// - Parameters:
  ///   - ops: brings QConv and QFC. Without, models that need them are refused, and float models run on
  ///     the stock runtime alone.
  ///   - twin: see `ModelInfo`.
  /// - Throws: `QcnnError` for every model that cannot be used.
  public init(
    _ file: ModelFile, threads: Int = 1, ops: Ops = .registration(), twin: ModelInfo? = nil
  ) throws {
    let info = try ModelInfo(file, twin: twin)
    if case .none = ops, info.isQuantized {
      throw QcnnError(
        .opsMissing,
        "the model has \(info.qconv) QConv and \(info.qfc) QFC, and what runs them was left out")
    }
    let interpreter = try Interpreter(file, ops: ops, threads: threads)
    func unsupported(_ what: String) -> QcnnError {
      QcnnError(
        .unsupported, "expected one float image in and one float a class out, got \(what)")
    }
    guard interpreter.inputCount == 1, interpreter.outputCount == 1 else {
      throw unsupported("\(interpreter.inputCount) inputs and \(interpreter.outputCount) outputs")
    }
    let expected = info.preprocessing.inputShape
    guard let input = interpreter.inputShape, input == expected else {
      throw unsupported(
        "an input \(interpreter.inputShape.map { "\($0)" } ?? "of other numbers"), where the "
          + "metadata say \(expected)")
    }
    guard let output = interpreter.outputShape, let classes = output.last, classes > 0,
      output.reduce(1, *) == classes
    else {
      throw unsupported(
        "an output \(interpreter.outputShape.map { "\($0)" } ?? "of other numbers")")
    }
    self.info = info
    self.interpreter = interpreter
    self.classes = classes
    kernel = info.isQuantized || info.lrn > 0 ? ops.kernel : nil
  }

  public func classify(_ image: RGBImage) throws -> Answer { try classify(image, top: 5) }

  /// Classifies one image.
  ///
  /// - Throws: `QcnnError` if the runtime fails, or the model cannot take an image of this size.
  public func classify(_ image: RGBImage, top: Int) throws -> Answer {
    lock.lock()
    defer { lock.unlock() }
    let clock = ContinuousClock()
    let started = clock.now
    try interpreter.setInput(info.preprocessing.values(of: image))
    let prepared = clock.now
    try interpreter.invoke()
    let done = clock.now
    return Answer(
      top: best(top, of: try probabilities()).map {
        Prediction(index: $0.index, label: info.label($0.index), probability: $0.value)
      }, prepareMs: (prepared - started).milliseconds, inferenceMs: (done - prepared).milliseconds)
  }

  /// Probabilities of all classes.
  public func probabilities(of image: RGBImage) throws -> [Float] {
    lock.lock()
    defer { lock.unlock() }
    try interpreter.setInput(info.preprocessing.values(of: image))
    try interpreter.invoke()
    return try probabilities()
  }

  /// Runs once more on the input of the last image. For timing.
  ///
  /// - Returns: milliseconds.
  public func run() throws -> Double {
    lock.lock()
    defer { lock.unlock() }
    let clock = ContinuousClock()
    let started = clock.now
    try interpreter.invoke()
    return (clock.now - started).milliseconds
  }

  private func probabilities() throws -> [Float] {
    let scores = try interpreter.output(count: classes)
    let done =
      info.softmaxApplied
      ?? (scores.allSatisfy { $0 >= 0 } && abs(scores.reduce(0, +) - 1) < 1e-3)
    return done ? scores : softmax(scores)
  }
}

/// Exponentials, divided by their sum.
func softmax(_ scores: [Float]) -> [Float] {
  let largest = scores.max() ?? 0
  let powers = scores.map { exp($0 - largest) }
  let sum = powers.reduce(0, +)
  return powers.map { $0 / sum }
}

/// The `count` largest values with their places, the largest first; equal ones by place, NaN last.
func best(_ count: Int, of values: [Float]) -> [(index: Int, value: Float)] {
  // Partial selection: a thousand classes are not sorted for five.
  var left = [Bool](repeating: true, count: values.count)
  return (0..<min(count, values.count)).map { _ in
    var best = -1
    for i in values.indices where left[i] {
      if best < 0 || values[i] > values[best] || (values[best].isNaN && !values[i].isNaN) {
        best = i
      }
    }
    left[best] = false
    return (best, values[best])
  }
}

extension Duration {
  var milliseconds: Double {
    Double(components.seconds) * 1e3 + Double(components.attoseconds) / 1e15
  }
}
