// A stand-in; see README.md.
@_exported import Foundation

public struct UTType: Hashable, Sendable {
  public init?(filenameExtension: String) {}
  private init() {}
  public static let data = UTType()
}
