import Foundation

public enum CameraAccess: Sendable {
  case notAsked, granted, denied, restricted
}

public enum CameraPosition: Sendable {
  case back, front
}

/// Why a camera gives no frames.
public enum CameraProblem: Error, Equatable, Sendable {
  case none, inUse, lost, broken
}

public enum CameraEvent: Equatable, Sendable {
  /// Frames come, again or for the first time.
  case running
  case stopped(CameraProblem)
}

/// A camera: the device's, or a fake in tests.
@MainActor
public protocol Camera: AnyObject {
  var access: CameraAccess { get }
  /// Asks the person who holds the device.
  func requestAccess() async -> Bool
  /// Starts; from now on there are events.
  func start(_ position: CameraPosition, _ event: @escaping @MainActor (CameraEvent) -> Void)
    async throws
  func stop()
  /// The next frame, upright; nil when the camera stops. What comes while nobody waits is dropped.
  func nextFrame() async -> RGBImage?
}

/// The live screen: the latest frame only, one in flight.
public final class LiveModel: ViewModel {
  public enum State: Equatable {
    case idle
    case loading(name: String)
    case waiting
    case answer(Answer)
    case failed(Failure)
  }

  public private(set) var state: State = .idle { willSet { willChange() } }
  public private(set) var times = MedianTimes() { willSet { willChange() } }
  public private(set) var position: CameraPosition = .back { willSet { willChange() } }
  /// Whether there is a preview to show.
  public private(set) var isRunning = false { willSet { willChange() } }

  private let camera: any Camera
  private let engine: EngineModel
  private let preferences: any Preferences
  private var isVisible = false
  /// Why there are no frames. A model that cannot be used is shown before it: with that, no camera helps.
  private var cameraFailure: Failure?
  private var loop: Task<Void, Never>?

  public init(camera: any Camera, engine: EngineModel, preferences: any Preferences) {
    self.camera = camera
    self.engine = engine
    self.preferences = preferences
    position = preferences.isFrontCamera ? .front : .back
    super.init()
    engine.listen { [weak self] in self?.engineChanged() }
  }

  public var modelName: String { engine.selected?.name ?? "" }

  /// The screen is in front.
  public func appear() async {
    isVisible = true
    await start()
  }

  public func disappear() {
    isVisible = false
    stop()
    state = .idle
  }

  public func perform(_ action: Action) async {
    switch action {
    case .allowCamera:
      _ = await camera.requestAccess()
      await start()
    case .retry:
      await start()
    default:
      break  // Other screens do the rest.
    }
  }

  public func switchCamera() async {
    position = position == .back ? .front : .back
    preferences.isFrontCamera = position == .front
    stop()
    await start()
  }

  private func start() async {
    stop()
    guard isVisible else { return }
    cameraFailure = nil
    switch camera.access {
    case .notAsked: fail(.ask)
    case .denied: fail(.denied)
    case .restricted: fail(.blocked)
    case .granted:
      do {
        try await camera.start(position) { [weak self] in self?.happened($0) }
        guard isVisible else {
          camera.stop()  // The screen was left while the camera started.
          return
        }
        happened(.running)
      } catch {
        happened(.stopped(error as? CameraProblem ?? .broken))
      }
    }
  }

  private func stop() {
    loop?.cancel()
    loop = nil
    isRunning = false
    times = MedianTimes()
    camera.stop()
  }

  private func happened(_ event: CameraEvent) {
    guard isVisible else { return }
    switch event {
    case .running:
      isRunning = true
      cameraFailure = nil
      engineChanged()
    case .stopped(let problem):
      isRunning = false
      switch problem {
      case .none: fail(.noCamera)
      case .inUse: fail(.inUse)
      case .lost: fail(.lost)
      case .broken: fail(.cameraBroken)
      }
    }
  }

  private func fail(_ failure: Failure) {
    cameraFailure = failure
    engineChanged()
  }

  private func engineChanged() {
    guard isVisible, isRunning || cameraFailure != nil else { return }
    loop?.cancel()
    loop = nil
    times = MedianTimes()
    if let cameraFailure {
      if case .failed(let failure) = engine.state {
        state = .failed(failure)
      } else {
        state = .failed(cameraFailure)
      }
      return
    }
    switch engine.state {
    case .loading(let name): state = .loading(name: name)
    case .failed(let failure): state = .failed(failure)
    case .ready(let classifier):
      state = .waiting
      loop = Task { [weak self] in await self?.classify(with: classifier) }
    }
  }

  private func classify(with classifier: any Classifying) async {
    while !Task.isCancelled {
      guard let frame = await camera.nextFrame(), !Task.isCancelled else { return }
      let result = await Task.detached(priority: .userInitiated) {
        Result { try classifier.classify(frame) }
      }.value
      guard !Task.isCancelled else { return }
      switch result {
      case .success(let answer):
        times.add(answer)
        state = .answer(answer)
      case .failure(let error):
        state = .failed(Failure(error, model: engine.selected?.name ?? ""))
        return
      }
    }
  }
}

/// Rolling medians of the last 15 answers: milliseconds, nil before the first.
public struct MedianTimes: Equatable, Sendable {
  private static let frames = 15
  private var prepare: [Double] = []
  private var inference: [Double] = []

  public init() {}

  public mutating func add(_ answer: Answer) {
    prepare = Array((prepare + [answer.prepareMs]).suffix(Self.frames))
    inference = Array((inference + [answer.inferenceMs]).suffix(Self.frames))
  }

  public var prepareMs: Double? { prepare.isEmpty ? nil : quantile(prepare, 0.5) }
  public var inferenceMs: Double? { inference.isEmpty ? nil : quantile(inference, 0.5) }
  public var totalMs: Double? {
    prepare.isEmpty ? nil : quantile(zip(prepare, inference).map { $0 + $1 }, 0.5)
  }
}
