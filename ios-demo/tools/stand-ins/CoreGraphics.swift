// A stand-in; see README.md. CGRect and its like are Foundation's.
@_exported import Foundation

public typealias CFString = String
public typealias CFData = Data
public typealias CFDictionary = NSDictionary
public final class CGImage {}
public final class CGColor {
  public init(red: CGFloat, green: CGFloat, blue: CGFloat, alpha: CGFloat) {}
}
public final class CGColorSpace {
  public static let sRGB: CFString = ""
  public init?(name: CFString) {}
}
public enum CGImageAlphaInfo: UInt32 {
  case none, premultipliedLast, premultipliedFirst, last, first, noneSkipLast, noneSkipFirst
}
public final class CGContext {
  public init?(
    data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int,
    bytesPerRow: Int, space: CGColorSpace, bitmapInfo: UInt32
  ) {}
  public var data: UnsafeMutableRawPointer? { nil }
  public var bytesPerRow: Int { 0 }
  public func setFillColor(_ color: CGColor) {}
  public func fill(_ rect: CGRect) {}
  public func draw(_ image: CGImage, in rect: CGRect) {}
}
