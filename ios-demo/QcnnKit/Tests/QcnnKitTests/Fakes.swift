import Foundation

@testable import QcnnKit

let somePhoto = try! RGBImage(width: 1, height: 1, pixels: [1, 2, 3])
let someAnswer = Answer(
  top: [Prediction(index: 3, label: "dress", probability: 0.75)], prepareMs: 1, inferenceMs: 2)

final class FakeClassifier: Classifying, @unchecked Sendable {
  private let lock = NSLock()
  private var running = 0
  private(set) var mostAtOnce = 0
  private(set) var images: [RGBImage] = []
  var error: QcnnError?

  func classify(_ image: RGBImage) throws -> Answer {
    lock.lock()
    running += 1
    mostAtOnce = max(mostAtOnce, running)
    images.append(image)
    lock.unlock()
    defer {
      lock.lock()
      running -= 1
      lock.unlock()
    }
    if let error { throw error }
    return someAnswer
  }
}

final class FakeLibrary: ModelLibrary, @unchecked Sendable {
  var models = [
    ModelEntry(id: "one-q.tflite", url: URL(fileURLWithPath: "/one-q.tflite")),
    ModelEntry(id: "two.tflite", url: URL(fileURLWithPath: "/two.tflite"), isImported: true),
  ]
  var full = false
  var refusal: QcnnError?

  func entries() -> [ModelEntry] { models }

  func entry(_ id: String) -> ModelEntry {
    models.first { $0.id == id } ?? ModelEntry(id: id, url: URL(fileURLWithPath: "/nowhere/\(id)"))
  }

  func add(_ url: URL) throws -> ModelEntry {
    if full { throw CocoaError(.fileWriteOutOfSpace) }
    if let refusal { throw refusal }
    let entry = ModelEntry(id: url.lastPathComponent, url: url, isImported: true)
    models.append(entry)
    return entry
  }

  func remove(_ entry: ModelEntry) throws { models.removeAll { $0 == entry } }
}

final class FakePreferences: Preferences {
  var model: String?
  var threads = 0
  var kernel: String?
  var isFrontCamera = false
}

/// Gives the frames that a test puts into it.
@MainActor
final class FakeCamera: Camera {
  var access = CameraAccess.granted
  var isGranted = true
  var problem: CameraProblem?
  private(set) var starts: [CameraPosition] = []
  private(set) var event: (@MainActor (CameraEvent) -> Void)?
  private var waiting: CheckedContinuation<RGBImage?, Never>?
  private(set) var dropped = 0
  private(set) var stops = 0
  var whileStarting: () -> Void = {}

  func requestAccess() async -> Bool {
    access = isGranted ? .granted : .denied
    return isGranted
  }

  func start(
    _ position: CameraPosition, _ event: @escaping @MainActor (CameraEvent) -> Void
  ) async throws {
    starts.append(position)
    self.event = event
    whileStarting()
    if let problem { throw problem }
  }

  func stop() {
    stops += 1
    waiting?.resume(returning: nil)
    waiting = nil
  }

  func nextFrame() async -> RGBImage? {
    await withCheckedContinuation { continuation in
      waiting?.resume(returning: nil)
      waiting = continuation
    }
  }

  var isWaited: Bool { waiting != nil }

  func show(_ frame: RGBImage) {
    guard let continuation = waiting else {
      dropped += 1
      return
    }
    waiting = nil
    continuation.resume(returning: frame)
  }
}

/// An engine over fakes.
@MainActor
func makeEngine(
  library: FakeLibrary = FakeLibrary(), preferences: FakePreferences = FakePreferences(),
  mostThreads: Int = 4, open: @escaping EngineModel.Open = { _, _ in FakeClassifier() }
) -> EngineModel {
  EngineModel(
    library: library, preferences: preferences, mostThreads: mostThreads, open: open)
}

/// Waits until something holds that other tasks bring about; a minute at most, should a machine be busy.
@MainActor
func eventually(_ condition: () -> Bool) async -> Bool {
  for _ in 0..<12000 {
    if condition() { return true }
    try? await Task.sleep(nanoseconds: 5_000_000)
  }
  return condition()
}
