import Foundation
import QcnnOps
import TensorFlowLiteC

/// How a model's QConv and QFC reach the runtime.
public enum Ops: Sendable {
  /// Registered with the runtime. `kernel`: one of `Kernel.all`; nil selects the fastest. `lrn`: whether
  /// local response normalization is taken over, too.
  case registration(kernel: String? = nil, lrn: Bool = true)
  /// By a delegate, as TensorFlowLiteSwift needs it.
  case delegate(QcnnDelegate)
  /// Not at all: the stock runtime.
  case none

  /// The kernel of ours that runs; nil where none does.
  public var kernel: String? {
    switch self {
    case .registration(let kernel, _): kernel ?? Kernel.selected
    case .delegate(let delegate): delegate.kernel
    case .none: nil
    }
  }
}

/// One model in TensorFlow Lite's C API, with its tensors allocated. Not for two threads at once.
final class Interpreter {
  private let file: ModelFile
  private let ops: Ops
  private let model: OpaquePointer
  private let options: OpaquePointer
  private let interpreter: OpaquePointer
  private let log: ErrorLog

  /// - Throws: `QcnnError` with the runtime's own sentence.
  init(_ file: ModelFile, ops: Ops, threads: Int) throws {
    let log = ErrorLog()
    guard let model = TfLiteModelCreate(file.bytes.baseAddress, file.count) else {
      throw QcnnError(.refused, "TensorFlow Lite does not take the file for a model")
    }
    guard let options = TfLiteInterpreterOptionsCreate() else {
      TfLiteModelDelete(model)
      throw QcnnError(.outOfMemory, "there is no memory for an interpreter")
    }
    log.attach(to: options)
    TfLiteInterpreterOptionsSetNumThreads(options, Int32(threads))
    do {
      switch ops {
      case .registration(let kernel, let lrn):
        try Self.register(options, kernel: kernel, lrn: lrn)
      case .delegate(let delegate): TfLiteInterpreterOptionsAddDelegate(options, delegate.pointer)
      case .none: break
      }
    } catch {
      TfLiteInterpreterOptionsDelete(options)
      TfLiteModelDelete(model)
      throw error
    }
    let made = TfLiteInterpreterCreate(model, options)
    guard let made, TfLiteInterpreterAllocateTensors(made) == kTfLiteOk else {
      if let made { TfLiteInterpreterDelete(made) }
      TfLiteInterpreterOptionsDelete(options)
      TfLiteModelDelete(model)
      throw Self.refused(log.text)
    }
    self.file = file
    self.ops = ops
    self.model = model
    self.options = options
    self.interpreter = made
    self.log = log
  }

  deinit {
    TfLiteInterpreterDelete(interpreter)
    TfLiteInterpreterOptionsDelete(options)
    TfLiteModelDelete(model)
  }

  /// By functions that are named here, so that the linker keeps them: in an app a symbol that is only
  /// looked up by its name is stripped.
  private static func register(_ options: OpaquePointer, kernel: String?, lrn: Bool) throws {
    let status = qcnn_register_ops_with(
      { options, name, registration, least, most in
        guard let options, let registration else { return }
        TfLiteInterpreterOptionsAddCustomOp(
          OpaquePointer(options), name,
          registration.assumingMemoryBound(to: TfLiteRegistration.self), least, most)
      },
      { options, op, registration, least, most in
        guard let options, let registration else { return }
        TfLiteInterpreterOptionsAddBuiltinOp(
          OpaquePointer(options), TfLiteBuiltinOperator(rawValue: .init(truncatingIfNeeded: op)),
          registration.assumingMemoryBound(to: TfLiteRegistration.self), least, most)
      },
      UnsafeMutableRawPointer(options), kernel, lrn ? 0 : UInt32(QCNN_WITHOUT_LRN))
    // Nothing else can be wrong with these arguments.
    guard status == QCNN_OK else { throw Kernel.missing(kernel ?? "auto") }
  }

  var inputCount: Int { Int(TfLiteInterpreterGetInputTensorCount(interpreter)) }
  var outputCount: Int { Int(TfLiteInterpreterGetOutputTensorCount(interpreter)) }

  /// Shape of the first input; nil if it is not float32.
  var inputShape: [Int]? {
    TfLiteInterpreterGetInputTensor(interpreter, 0).flatMap { Self.shape(UnsafePointer($0)) }
  }

  var outputShape: [Int]? {
    TfLiteInterpreterGetOutputTensor(interpreter, 0).flatMap(Self.shape)
  }

  private static func shape(_ tensor: UnsafePointer<TfLiteTensor>) -> [Int]? {
    guard TfLiteTensorType(tensor) == kTfLiteFloat32 else { return nil }
    return (0..<TfLiteTensorNumDims(tensor)).map { Int(TfLiteTensorDim(tensor, $0)) }
  }

  func setInput(_ values: [Float]) throws {
    let tensor = TfLiteInterpreterGetInputTensor(interpreter, 0)
    let status = values.withUnsafeBytes {
      TfLiteTensorCopyFromBuffer(tensor, $0.baseAddress, $0.count)
    }
    guard status == kTfLiteOk else {
      throw QcnnError(.unsupported, "the model's input does not have \(values.count) floats")
    }
  }

  func invoke() throws {
    log.clear()
    guard TfLiteInterpreterInvoke(interpreter) == kTfLiteOk else { throw Self.refused(log.text) }
  }

  func output(count: Int) throws -> [Float] {
    var values = [Float](repeating: 0, count: count)
    let status = values.withUnsafeMutableBytes {
      TfLiteTensorCopyToBuffer(
        TfLiteInterpreterGetOutputTensor(interpreter, 0), $0.baseAddress, $0.count)
    }
    guard status == kTfLiteOk else {
      throw QcnnError(.unsupported, "the model's output does not have \(count) floats")
    }
    return values
  }

  /// The runtime tells by its text alone what was wrong.
  private static func refused(_ text: String) -> QcnnError {
    let lower = text.lowercased()
    if lower.contains("unresolved custom op") { return QcnnError(.opsMissing, text) }
    if lower.contains("not enough memory") || lower.contains("failed to allocate") {
      return QcnnError(.outOfMemory, text)
    }
    return QcnnError(.refused, text.isEmpty ? "TensorFlow Lite gave no reason" : text)
  }
}

/// The runtime's sentences, the latest few.
private final class ErrorLog {
  private let lock = NSLock()
  private var lines: [String] = []

  var text: String {
    lock.lock()
    defer { lock.unlock() }
    return lines.joined(separator: "\n")
  }

  func clear() {
    lock.lock()
    defer { lock.unlock() }
    lines = []
  }

  /// The interpreter keeps a pointer to this object, and has to be deleted before it.
  func attach(to options: OpaquePointer) {
    TfLiteInterpreterOptionsSetErrorReporter(
      options,
      { log, format, arguments in
        // Whether it is optional depends on the platform's va_list.
        let arguments: CVaListPointer? = arguments
        guard let log, let format, let arguments else { return }
        var buffer = [CChar](repeating: 0, count: 512)
        vsnprintf(&buffer, buffer.count, format, arguments)
        Unmanaged<ErrorLog>.fromOpaque(log).takeUnretainedValue().add(String(cString: buffer))
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  private func add(_ line: String) {
    lock.lock()
    defer { lock.unlock() }
    lines.append(line)
    if lines.count > 4 { lines.removeFirst() }
  }
}
