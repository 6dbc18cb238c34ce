// A stand-in; see README.md.
@_exported import Foundation

@MainActor open class UIResponder: NSObject {}
@MainActor open class UIView: UIResponder {
  public override init() { super.init() }
  open class var layerClass: AnyClass { CALayer.self }
  public var layer: CALayer { CALayer() }
  public var window: UIWindow? { nil }
  open func layoutSubviews() {}
}
open class CALayer: NSObject {}
@MainActor open class UIWindow: UIView {
  public var windowScene: UIWindowScene? { nil }
}
@MainActor open class UIWindowScene: UIResponder {
  public var interfaceOrientation: UIInterfaceOrientation { .portrait }
}
public enum UIInterfaceOrientation: Int, Sendable {
  case unknown = 0
  case portrait = 1
  case portraitUpsideDown = 2
  case landscapeRight = 3
  case landscapeLeft = 4
}
open class UIImage: NSObject {
  public init?(data: Data) {}
}
@MainActor open class UIApplication: UIResponder {
  public class var shared: UIApplication { fatalError() }
  public nonisolated static let openSettingsURLString = ""
  public func open(
    _ url: URL, options: [String: Any] = [:],
    completionHandler completion: (@MainActor @Sendable (Bool) -> Void)? = nil
  ) {}
}
@MainActor public enum UIAccessibility {
  public struct Notification: Sendable {
    public static let announcement = Notification()
  }
  public static func post(notification: Notification, argument: Any?) {}
}

// Foundation's on Apple's systems, not on Linux.
extension URL {
  public func startAccessingSecurityScopedResource() -> Bool { false }
  public func stopAccessingSecurityScopedResource() {}
}
