import Foundation

/// Which live answers are spoken: new ones, and not one a frame.
public struct Announcer: Sendable {
  private let pause: TimeInterval
  private var last: String?
  private var time = Date.distantPast

  public init(pause: TimeInterval = 3) { self.pause = pause }

  /// Whether the answer is to be spoken now.
  public mutating func isNews(_ label: String, at now: Date = Date()) -> Bool {
    guard label != last, now.timeIntervalSince(time) >= pause else { return false }
    last = label
    time = now
    return true
  }
}
