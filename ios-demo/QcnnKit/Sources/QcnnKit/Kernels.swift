import QcnnOps
import TensorFlowLiteC

/// One of the library's kernels.
public struct Kernel: Equatable, Sendable, Identifiable {
  public let name: String
  /// What it needs of a CPU, in words.
  public let features: String
  /// Whether this CPU has that.
  public let isAvailable: Bool

  public var id: String { name }

  /// Those of the build, the fastest first.
  public static var all: [Kernel] {
    var kernels: [Kernel] = []
    var name: UnsafePointer<CChar>?
    var features: UnsafePointer<CChar>?
    var available: Int32 = 0
    while qcnn_kernels(kernels.count, &name, &features, &available) == QCNN_OK, let name,
      let features
    {
      kernels.append(
        Kernel(
          name: String(cString: name), features: String(cString: features),
          isAvailable: available != 0))
    }
    return kernels
  }

  /// The one that runs unless another is asked for.
  public static var selected: String { String(cString: qcnn_selected_kernel()) }

  static func missing(_ name: String) -> QcnnError {
    let known = all.filter(\.isAvailable).map(\.name).joined(separator: ", ")
    return QcnnError(
      .opsMissing, "there is no kernel \"\(name)\" on this CPU; there are \(known)")
  }
}

/// What the libraries say about themselves.
public enum Libraries {
  public static var qcnn: String { String(cString: qcnn_version()) }
  public static var tensorFlowLite: String { String(cString: TfLiteVersion()) }

  /// Bytes that all QConv and QFC of the process hold besides their model files.
  public static var memory: (packed: Int, scratch: Int) {
    var packed = 0
    var scratch = 0
    qcnn_memory(&packed, &scratch)
    return (packed, scratch)
  }
}
