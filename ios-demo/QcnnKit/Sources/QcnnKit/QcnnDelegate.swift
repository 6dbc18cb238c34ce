import QcnnOps
import TensorFlowLiteC

/// A delegate that runs QConv, QFC and local response normalization, for every interpreter that takes
/// a `TfLiteDelegate`: QcnnKit's own, or TensorFlowLiteSwift's:
///
///     extension QcnnDelegate: TensorFlowLite.Delegate {
///       public var cDelegate: CDelegate { pointer }
///     }
///
/// Keep it until after the last interpreter that uses it.
public final class QcnnDelegate: @unchecked Sendable {
  /// Of the C struct `TfLiteDelegate`.
  public let pointer: UnsafeMutablePointer<TfLiteDelegate>
  /// The kernel that it runs.
  public let kernel: String
  private let delete: () -> Void

  /// - Parameters:
  ///   - kernel: one of `Kernel.all`; nil selects the fastest.
  ///   - lrn: whether it takes over local response normalization, too.
  /// - Throws: `QcnnError` if there is no such kernel on this CPU.
  public init(kernel: String? = nil, lrn: Bool = true) throws {
    let flags = lrn ? 0 : UInt32(QCNN_WITHOUT_LRN)
    guard let made = qcnn_delegate_create(kernel ?? "auto", flags) else {
      throw Kernel.missing(kernel ?? "auto")
    }
    pointer = UnsafeMutableRawPointer(made).assumingMemoryBound(to: TfLiteDelegate.self)
    self.kernel = kernel ?? Kernel.selected
    delete = { qcnn_delegate_delete(made) }
  }

  deinit { delete() }
}
