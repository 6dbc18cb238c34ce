// A stand-in; see README.md.
@_exported import Dispatch
@_exported import Foundation
import UIKit

public struct AVMediaType: Sendable {
  public static let video = AVMediaType()
}
public enum AVAuthorizationStatus: Int, Sendable {
  case notDetermined, restricted, denied, authorized
}
public enum AVCaptureVideoOrientation: Int, Sendable {
  case portrait = 1
  case portraitUpsideDown = 2
  case landscapeRight = 3
  case landscapeLeft = 4
}
public struct AVLayerVideoGravity: Sendable {
  public static let resizeAspectFill = AVLayerVideoGravity()
}
public struct AVError: Error {
  public enum Code: Sendable { case deviceAlreadyUsedByAnotherSession, mediaServicesWereReset }
  public var code: Code { .mediaServicesWereReset }
}
open class AVCaptureDevice: NSObject {
  public enum Position: Int, Sendable { case unspecified, back, front }
  public struct DeviceType: Sendable {
    public static let builtInWideAngleCamera = DeviceType()
  }
  public class func authorizationStatus(for mediaType: AVMediaType) -> AVAuthorizationStatus {
    .denied
  }
  public class func requestAccess(for mediaType: AVMediaType) async -> Bool { false }
  public class func `default`(
    _ deviceType: DeviceType, for mediaType: AVMediaType?, position: Position
  ) -> AVCaptureDevice? { nil }
}
open class AVCaptureInput: NSObject {}
open class AVCaptureDeviceInput: AVCaptureInput {
  public init(device: AVCaptureDevice) throws {}
}
open class AVCaptureConnection: NSObject {
  public var videoOrientation = AVCaptureVideoOrientation.portrait
}
open class AVCaptureOutput: NSObject {
  public func connection(with mediaType: AVMediaType) -> AVCaptureConnection? { nil }
}
open class AVCaptureSession: NSObject {
  public struct Preset: Sendable {
    public static let vga640x480 = Preset()
  }
  public enum InterruptionReason: Int, Sendable {
    case videoDeviceNotAvailableInBackground = 1
    case audioDeviceInUseByAnotherClient = 2
    case videoDeviceInUseByAnotherClient = 3
    case videoDeviceNotAvailableWithMultipleForegroundApps = 4
    case videoDeviceNotAvailableDueToSystemPressure = 5
  }
  public override init() {}
  public var sessionPreset = Preset.vga640x480
  public var inputs: [AVCaptureInput] { [] }
  public var outputs: [AVCaptureOutput] { [] }
  public func beginConfiguration() {}
  public func commitConfiguration() {}
  public func canAddInput(_ input: AVCaptureInput) -> Bool { true }
  public func addInput(_ input: AVCaptureInput) {}
  public func removeInput(_ input: AVCaptureInput) {}
  public func canAddOutput(_ output: AVCaptureOutput) -> Bool { true }
  public func addOutput(_ output: AVCaptureOutput) {}
  public func startRunning() {}
  public func stopRunning() {}
}
extension NSNotification.Name {
  public static let AVCaptureSessionWasInterrupted = NSNotification.Name("1")
  public static let AVCaptureSessionInterruptionEnded = NSNotification.Name("2")
  public static let AVCaptureSessionRuntimeError = NSNotification.Name("3")
}
public let AVCaptureSessionInterruptionReasonKey = ""
@MainActor open class AVCaptureVideoPreviewLayer: CALayer {
  public var session: AVCaptureSession? {
    get { nil }
    set {}
  }
  public var videoGravity: AVLayerVideoGravity {
    get { .resizeAspectFill }
    set {}
  }
  public var connection: AVCaptureConnection? { nil }
}
public final class CMSampleBuffer {}
public final class CVBuffer {}
public typealias CVPixelBuffer = CVBuffer
public struct CVPixelBufferLockFlags: OptionSet, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static let readOnly = CVPixelBufferLockFlags(rawValue: 1)
}
public let kCVPixelBufferPixelFormatTypeKey = ""
public let kCVPixelFormatType_32BGRA: UInt32 = 0
public func CMSampleBufferGetImageBuffer(_ buffer: CMSampleBuffer) -> CVPixelBuffer? { nil }
@discardableResult public func CVPixelBufferLockBaseAddress(
  _ buffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags
) -> Int32 { 0 }
@discardableResult public func CVPixelBufferUnlockBaseAddress(
  _ buffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags
) -> Int32 { 0 }
public func CVPixelBufferGetBaseAddress(_ buffer: CVPixelBuffer) -> UnsafeMutableRawPointer? { nil }
public func CVPixelBufferGetWidth(_ buffer: CVPixelBuffer) -> Int { 0 }
public func CVPixelBufferGetHeight(_ buffer: CVPixelBuffer) -> Int { 0 }
public func CVPixelBufferGetBytesPerRow(_ buffer: CVPixelBuffer) -> Int { 0 }
// Optional in Objective-C; what the app has must still match.
public protocol AVCaptureVideoDataOutputSampleBufferDelegate: AnyObject {
  func captureOutput(
    _ output: AVCaptureOutput, didOutput buffer: CMSampleBuffer,
    from connection: AVCaptureConnection)
}
open class AVCaptureVideoDataOutput: AVCaptureOutput {
  public override init() {}
  public var alwaysDiscardsLateVideoFrames = true
  public var videoSettings: [String: Any]! = [:]
  public func setSampleBufferDelegate(
    _ delegate: (any AVCaptureVideoDataOutputSampleBufferDelegate)?, queue: DispatchQueue?
  ) {}
}
