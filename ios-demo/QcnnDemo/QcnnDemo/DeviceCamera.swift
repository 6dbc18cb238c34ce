import AVFoundation
import QcnnKit

/// The device's camera, as the live screen wants it.
@MainActor
final class DeviceCamera: Camera {
  let feed = CameraFeed()
  private var observers: [any NSObjectProtocol] = []

  var access: CameraAccess {
    switch AVCaptureDevice.authorizationStatus(for: .video) {
    case .authorized: .granted
    case .notDetermined: .notAsked
    case .restricted: .restricted
    default: .denied
    }
  }

  func requestAccess() async -> Bool { await AVCaptureDevice.requestAccess(for: .video) }

  func start(
    _ position: CameraPosition, _ event: @escaping @MainActor (CameraEvent) -> Void
  ) async throws {
    observe(event)
    try await feed.start(position == .back ? .back : .front)
  }

  func stop() {
    observers.forEach(NotificationCenter.default.removeObserver)
    observers = []
    feed.stop()
  }

  func nextFrame() async -> RGBImage? { await feed.next() }

  private func observe(_ event: @escaping @MainActor (CameraEvent) -> Void) {
    let center = NotificationCenter.default
    func add(
      _ name: NSNotification.Name, _ meaning: @escaping @Sendable (Notification) -> CameraEvent?
    ) {
      observers.append(
        center.addObserver(forName: name, object: feed.session, queue: .main) { notification in
          guard let happened = meaning(notification) else { return }
          Task { @MainActor in event(happened) }
        })
    }
    add(.AVCaptureSessionWasInterrupted) { notification in
      let number = notification.userInfo?[AVCaptureSessionInterruptionReasonKey] as? Int
      switch number.flatMap(AVCaptureSession.InterruptionReason.init(rawValue:)) {
      case .videoDeviceInUseByAnotherClient: return .stopped(.inUse)
      case .videoDeviceNotAvailableInBackground: return nil
      default: return .stopped(.lost)
      }
    }
    add(.AVCaptureSessionInterruptionEnded) { _ in .running }
    add(.AVCaptureSessionRuntimeError) { _ in .stopped(.broken) }
  }
}

/// The capture session; configured on a queue of its own, because starting takes long.
final class CameraFeed: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate, @unchecked Sendable
{
  let session = AVCaptureSession()
  private let output = AVCaptureVideoDataOutput()
  private let queue = DispatchQueue(label: "camera")
  private let lock = NSLock()
  private var waiting: CheckedContinuation<RGBImage?, Never>?
  private var orientation = AVCaptureVideoOrientation.portrait

  func start(_ position: AVCaptureDevice.Position) async throws {
    try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
      queue.async { done.resume(with: Result { try self.configure(position) }) }
    }
  }

  func stop() {
    queue.async { self.session.stopRunning() }
    deliver(nil)
  }

  /// The next frame; what comes while nobody waits is dropped.
  func next() async -> RGBImage? {
    await withCheckedContinuation { continuation in
      lock.lock()
      let before = waiting
      waiting = continuation
      lock.unlock()
      before?.resume(returning: nil)
    }
  }

  /// Upright frames, however the device is held.
  func turn(to orientation: AVCaptureVideoOrientation) {
    queue.async {
      self.orientation = orientation
      self.output.connection(with: .video)?.videoOrientation = orientation
    }
  }

  private func configure(_ position: AVCaptureDevice.Position) throws {
    let device = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: position)
    guard let device else { throw CameraProblem.none }
    let input: AVCaptureDeviceInput
    do {
      input = try AVCaptureDeviceInput(device: device)
    } catch let error as AVError where error.code == .deviceAlreadyUsedByAnotherSession {
      throw CameraProblem.inUse
    }
    session.beginConfiguration()
    defer { session.commitConfiguration() }
    for old in session.inputs { session.removeInput(old) }
    // The whole field of view, and more pixels than networks take.
    session.sessionPreset = .vga640x480
    guard session.canAddInput(input) else { throw CameraProblem.broken }
    session.addInput(input)
    if session.outputs.isEmpty {
      output.alwaysDiscardsLateVideoFrames = true
      output.videoSettings = [kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_32BGRA]
      output.setSampleBufferDelegate(self, queue: DispatchQueue(label: "frames"))
      guard session.canAddOutput(output) else { throw CameraProblem.broken }
      session.addOutput(output)
    }
    output.connection(with: .video)?.videoOrientation = orientation
    queue.async { self.session.startRunning() }
  }

  func captureOutput(
    _ output: AVCaptureOutput, didOutput buffer: CMSampleBuffer,
    from connection: AVCaptureConnection
  ) {
    lock.lock()
    let isWanted = waiting != nil
    lock.unlock()
    guard isWanted, let pixels = CMSampleBufferGetImageBuffer(buffer) else { return }
    CVPixelBufferLockBaseAddress(pixels, .readOnly)
    defer { CVPixelBufferUnlockBaseAddress(pixels, .readOnly) }
    guard let bytes = CVPixelBufferGetBaseAddress(pixels) else { return }
    let height = CVPixelBufferGetHeight(pixels)
    let bytesPerRow = CVPixelBufferGetBytesPerRow(pixels)
    let image = try? RGBImage(
      .bgrx, bytes: UnsafeRawBufferPointer(start: bytes, count: bytesPerRow * height),
      width: CVPixelBufferGetWidth(pixels), height: height, bytesPerRow: bytesPerRow)
    if let image { deliver(image) }
  }

  private func deliver(_ image: RGBImage?) {
    lock.lock()
    let continuation = waiting
    waiting = nil
    lock.unlock()
    continuation?.resume(returning: image)
  }
}
