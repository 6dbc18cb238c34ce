import Foundation
import XCTest

@testable import QcnnKit

/// The view models with fakes: every failure, and the ways back.
@MainActor
final class ScreenTests: XCTestCase {
  // The engine.

  func testEngineLoadsTheFirstModelOrTheOneChosenBefore() async {
    let preferences = FakePreferences()
    XCTAssertEqual(makeEngine(preferences: preferences).selected?.id, "one-q.tflite")
    preferences.model = "two.tflite"
    let engine = makeEngine(preferences: preferences)
    XCTAssertEqual(engine.selected?.id, "two.tflite")
    engine.load()
    guard case .loading(let name) = engine.state else { return XCTFail("\(engine.state)") }
    XCTAssertEqual(name, "two")
    await engine.settle()
    guard case .ready = engine.state else { return XCTFail("\(engine.state)") }
  }

  func testEveryProblemOfAModelIsAFailureWithAWayOut() async throws {
    for problem in Problem.allCases where problem != .badImage {
      let engine = makeEngine { _, _ in throw QcnnError(problem, "because") }
      engine.load()
      await engine.settle()
      guard case .failed(let failure) = engine.state else { return XCTFail("\(problem)") }
      XCTAssertEqual(failure, .model(problem, name: "one-q", detail: "because"))
      XCTAssertEqual(failure.actions, [.chooseModel])
      XCTAssertEqual(failure.name, "one-q")
      XCTAssertEqual(failure.detail, problem == .refused ? "because" : nil)
    }
  }

  func testEveryFailureHasItsOwnWordsAndAnAction() async {
    XCTAssertEqual(Failure.all.count, 18)
    XCTAssertEqual(Set(Failure.all.map(\.title)).count, 18)
    XCTAssertEqual(Set(Failure.all.map(\.text)).count, 18)
    for failure in Failure.all { XCTAssertFalse(failure.actions.isEmpty, "\(failure)") }
    XCTAssertEqual(Set(Failure.all.flatMap(\.actions)), Set(Action.allCases))
  }

  func testEngineWithoutModels() async {
    let library = FakeLibrary()
    library.models = []
    let engine = makeEngine(library: library)
    engine.load()
    guard case .failed(.model(.gone, _, _)) = engine.state else { return XCTFail() }
  }

  func testModelThatWentAwayMeanwhile() async {
    let library = FakeLibrary()
    let engine = makeEngine(library: library)
    engine.select(library.models[1])
    await engine.settle()
    library.models.remove(at: 1)
    engine.refresh()
    guard case .failed(.model(.gone, let name, _)) = engine.state else { return XCTFail() }
    XCTAssertEqual(name, "two")
  }

  func testModelThatWentAwayBeforeTheStart() async {
    let preferences = FakePreferences()
    preferences.model = "three.tflite"
    let engine = makeEngine(preferences: preferences, open: EngineModel.open)
    engine.load()
    await engine.settle()
    guard case .failed(.model(.gone, let name, _)) = engine.state else { return XCTFail() }
    XCTAssertEqual(name, "three")
    XCTAssertEqual(engine.selected?.id, "three.tflite")
  }

  func testImport() async {
    let library = FakeLibrary()
    let engine = makeEngine(library: library)
    library.full = true
    engine.add(URL(fileURLWithPath: "/new.tflite"))
    XCTAssertEqual(engine.importFailure, .importFailed)
    XCTAssertEqual(engine.importFailure?.actions, [.retry])
    library.full = false
    library.refusal = QcnnError(.damaged, "cut off")
    engine.add(URL(fileURLWithPath: "/new.tflite"))
    XCTAssertEqual(
      engine.importFailure, .model(.damaged, name: "new.tflite", detail: "cut off"))
    XCTAssertEqual(engine.importFailure?.actions, [.chooseModel])
    XCTAssertEqual(engine.selected?.id, "one-q.tflite")
    engine.forgetImport()
    XCTAssertNil(engine.importFailure)
    library.refusal = nil
    engine.add(URL(fileURLWithPath: "/new.tflite"))
    XCTAssertNil(engine.importFailure)
    XCTAssertEqual(engine.selected?.id, "new.tflite")
    XCTAssertEqual(engine.imported?.id, "new.tflite")
    engine.remove(library.models[2])
    XCTAssertEqual(engine.selected?.id, "one-q.tflite")
    engine.importFailed()
    XCTAssertEqual(engine.importFailure, .importFailed)
  }

  func testSettingsReachTheClassifier() async {
    let preferences = FakePreferences()
    let seen = Seen()
    let engine = makeEngine(preferences: preferences) { _, setting in
      seen.add(setting)
      return FakeClassifier()
    }
    engine.load()
    await engine.settle()
    engine.setThreads(2)
    await engine.settle()
    engine.setKernel("reference")
    await engine.settle()
    preferences.threads = 99  // From another device.
    engine.load()
    await engine.settle()
    preferences.kernel = "abacus"
    engine.load()
    await engine.settle()
    XCTAssertEqual(
      seen.settings,
      [
        Setting(threads: 4), Setting(threads: 2), Setting(threads: 2, kernel: "reference"),
        Setting(threads: 4, kernel: "reference"), Setting(threads: 4),
      ])
    XCTAssertEqual(makeEngine(mostThreads: 8).setting.threads, 4)
    XCTAssertEqual(makeEngine(mostThreads: 2).setting.threads, 2)
  }

  func testModelChosenWhileAnotherLoads() async {
    let library = FakeLibrary()
    let engine = makeEngine(library: library) { entry, _ in
      if entry.id == "one-q.tflite" {
        Thread.sleep(forTimeInterval: 0.1)
        throw QcnnError(.damaged, "late")
      }
      return FakeClassifier()
    }
    engine.load()
    engine.select(library.models[1])
    try? await Task.sleep(nanoseconds: 200_000_000)
    await engine.settle()
    guard case .ready = engine.state else { return XCTFail("\(engine.state)") }
  }

  // The live screen.

  private func live(
    _ camera: FakeCamera, _ engine: EngineModel? = nil,
    preferences: FakePreferences = FakePreferences()
  ) async -> (LiveModel, EngineModel) {
    let engine = engine ?? makeEngine()
    let live = LiveModel(camera: camera, engine: engine, preferences: preferences)
    engine.load()
    await engine.settle()
    await live.appear()
    return (live, engine)
  }

  func testCameraFailures() async {
    let cases: [(CameraAccess, CameraProblem?, Failure)] = [
      (.notAsked, nil, .ask), (.denied, nil, .denied), (.restricted, nil, .blocked),
      (.granted, CameraProblem.none, .noCamera), (.granted, .inUse, .inUse),
      (.granted, .broken, .cameraBroken), (.granted, .lost, .lost),
    ]
    for (access, problem, failure) in cases {
      let camera = FakeCamera()
      camera.access = access
      camera.problem = problem
      let (live, _) = await live(camera)
      XCTAssertEqual(live.state, .failed(failure))
      XCTAssertFalse(live.isRunning)
      XCTAssertTrue(failure.actions.contains(.choosePhoto))
      // Try again, when the cause is gone.
      camera.access = .granted
      camera.problem = nil
      await live.perform(.retry)
      XCTAssertEqual(live.state, .waiting)
    }
  }

  func testAskingForTheCamera() async {
    let camera = FakeCamera()
    camera.access = .notAsked
    camera.isGranted = false
    let (live, _) = await live(camera)
    await live.perform(.allowCamera)
    XCTAssertEqual(live.state, .failed(.denied))
    camera.access = .notAsked
    camera.isGranted = true
    await live.perform(.allowCamera)
    XCTAssertEqual(live.state, .waiting)
  }

  func testCameraTakenAwayAndBack() async {
    let camera = FakeCamera()
    let (live, _) = await live(camera)
    camera.event?(.stopped(.lost))
    XCTAssertEqual(live.state, .failed(.lost))
    camera.event?(.running)
    XCTAssertEqual(live.state, .waiting)
    let isWaited = await eventually { camera.isWaited }
    XCTAssertTrue(isWaited)
    camera.show(somePhoto)
    let isAnswered = await eventually { live.state == .answer(someAnswer) }
    XCTAssertTrue(isAnswered)
  }

  func testLatestFrameOneInFlightAndMedians() async {
    let classifier = FakeClassifier()
    let camera = FakeCamera()
    let (live, _) = await live(camera, makeEngine { _, _ in classifier })
    XCTAssertNil(live.times.totalMs)
    for _ in 0..<20 {
      let isWaited = await eventually { camera.isWaited }
      XCTAssertTrue(isWaited)
      camera.show(somePhoto)
      camera.show(somePhoto)  // While the first is classified.
    }
    let isDone = await eventually { classifier.images.count == 20 }
    XCTAssertTrue(isDone)
    XCTAssertEqual(camera.dropped, 20)
    XCTAssertEqual(classifier.mostAtOnce, 1)
    let isAnswered = await eventually { live.times.totalMs == 3 }
    XCTAssertTrue(isAnswered)
  }

  func testModelFailsWhileItRuns() async {
    let classifier = FakeClassifier()
    classifier.error = QcnnError(.refused, "no")
    let camera = FakeCamera()
    let (live, _) = await live(camera, makeEngine { _, _ in classifier })
    _ = await eventually { camera.isWaited }
    camera.show(somePhoto)
    let failed = LiveModel.State.failed(.model(.refused, name: "one-q", detail: "no"))
    let isFailed = await eventually { live.state == failed }
    XCTAssertTrue(isFailed)
  }

  func testBrokenModelIsShownLiveAndTheNextOneRuns() async {
    let library = FakeLibrary()
    let engine = makeEngine(library: library) { entry, _ in
      if entry.isImported { return FakeClassifier() }
      throw QcnnError(.damaged, "cut off")
    }
    let (live, _) = await live(FakeCamera(), engine)
    XCTAssertEqual(live.state, .failed(.model(.damaged, name: "one-q", detail: "cut off")))
    engine.select(library.models[1])
    XCTAssertEqual(live.state, .loading(name: "two"))
    await engine.settle()
    XCTAssertEqual(live.state, .waiting)
    XCTAssertEqual(live.modelName, "two")
  }

  func testBrokenModelIsShownBeforeTheCamerasFailure() async {
    let library = FakeLibrary()
    let engine = makeEngine(library: library) { entry, _ in
      if entry.isImported { return FakeClassifier() }
      throw QcnnError(.damaged, "cut off")
    }
    let camera = FakeCamera()
    camera.access = .denied
    let (live, _) = await live(camera, engine)
    XCTAssertEqual(live.state, .failed(.model(.damaged, name: "one-q", detail: "cut off")))
    engine.select(library.models[1])
    await engine.settle()
    XCTAssertEqual(live.state, .failed(.denied))
  }

  func testNothingRunsInTheBackground() async {
    let camera = FakeCamera()
    let (live, engine) = await live(camera)
    live.disappear()
    XCTAssertEqual(live.state, .idle)
    engine.load()
    await engine.settle()
    XCTAssertEqual(live.state, .idle)
    camera.event?(.running)
    XCTAssertEqual(live.state, .idle)
  }

  func testScreenLeftWhileTheCameraStarts() async {
    let camera = FakeCamera()
    let engine = makeEngine()
    let live = LiveModel(camera: camera, engine: engine, preferences: FakePreferences())
    camera.whileStarting = { live.disappear() }
    await live.appear()
    XCTAssertEqual(live.state, .idle)
    XCTAssertEqual(camera.stops, 3)  // Before the start, when it was left, and after.
  }

  func testSwitchingTheCamera() async {
    let camera = FakeCamera()
    let preferences = FakePreferences()
    let (live, _) = await live(camera, preferences: preferences)
    await live.switchCamera()
    XCTAssertEqual(live.position, .front)
    XCTAssertEqual(camera.starts, [.back, .front])
    XCTAssertEqual(live.state, .waiting)
    // The next start remembers.
    let (later, _) = await self.live(FakeCamera(), preferences: preferences)
    XCTAssertEqual(later.position, .front)
  }

  // The photo screen.

  func testPhotoIsClassifiedAgainByEveryModel() async {
    let engine = makeEngine()
    let photo = PhotoModel(engine: engine) { _ in somePhoto }
    XCTAssertEqual(photo.state, .empty)
    engine.load()
    await engine.settle()
    photo.show(Data([1]))
    XCTAssertEqual(photo.state, .working)
    await photo.settle()
    XCTAssertEqual(photo.state, .answer(someAnswer))
    XCTAssertEqual(photo.photo, Data([1]))
    XCTAssertEqual(photo.times.totalMs, 3)
    engine.setThreads(1)
    XCTAssertEqual(photo.state, .loading(name: "one-q"))
    await engine.settle()
    await photo.settle()
    XCTAssertEqual(photo.state, .answer(someAnswer))
  }

  func testPhotoFailures() async {
    let engine = makeEngine()
    engine.load()
    await engine.settle()
    let photo = PhotoModel(engine: engine) { _ in throw QcnnError(.badImage, "what is this") }
    photo.show(nil)
    XCTAssertEqual(photo.state, .failed(.photoFailed))
    photo.show(Data([1]))
    await photo.settle()
    XCTAssertEqual(photo.state, .failed(.photoFailed))
    XCTAssertEqual(Failure.photoFailed.actions, [.chooseOtherPhoto])
    XCTAssertNil(photo.photo)
  }

  func testPhotoThatTheModelCannotTake() async {
    let classifier = FakeClassifier()
    classifier.error = QcnnError(.badImage, "too oblong")
    let engine = makeEngine { _, _ in classifier }
    engine.load()
    await engine.settle()
    let photo = PhotoModel(engine: engine) { _ in somePhoto }
    photo.show(Data())
    await photo.settle()
    guard case .failed(let failure) = photo.state else { return XCTFail("\(photo.state)") }
    XCTAssertEqual(failure.title, .photoFailedTitle)
    XCTAssertEqual(failure.actions, [.chooseOtherPhoto])
  }

  func testBrokenModelIsShownOnThePhotoScreen() async {
    let engine = makeEngine { _, _ in throw QcnnError(.opsMissing, "XConv") }
    let photo = PhotoModel(engine: engine) { _ in somePhoto }
    engine.load()
    await engine.settle()
    XCTAssertEqual(photo.state, .failed(.model(.opsMissing, name: "one-q", detail: "XConv")))
  }

  // The benchmark screen.

  private let measurement = Benchmark.Measurement(
    name: "one-q", variant: "q", samplesMs: [2, 1, 3], loadMs: 4, fileBytes: 10, zippedBytes: 9,
    packedBytes: 5, scratchBytes: 6, kernel: "reference", lrn: nil)

  func testBenchmarkRunsAndExports() async throws {
    let measurement = measurement
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let model = BenchmarkModel(engine: makeEngine(), folder: folder) { _, _, progress in
      XCTAssertTrue(progress(1, 2))
      return Benchmark.Outcome(measurements: [measurement], agreement: nil, images: 1)
    }
    model.run()
    XCTAssertEqual(model.state, .running(done: 0, of: 0))
    await model.settle()
    guard case .finished(let outcome) = model.state else { return XCTFail("\(model.state)") }
    XCTAssertEqual(outcome.measurements[0].medianMs, 2)
    model.export()
    let url = try XCTUnwrap(model.exported)
    let json = try XCTUnwrap(
      JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any])
    XCTAssertEqual(json["format"] as? Int, 1)
  }

  func testFiguresOfAnotherModelOrSettingAreNotShown() async {
    let measurement = measurement
    let library = FakeLibrary()
    let engine = makeEngine(library: library)
    let model = BenchmarkModel(engine: engine) { _, _, _ in
      Benchmark.Outcome(measurements: [measurement], agreement: nil, images: 1)
    }
    for change in [{ engine.select(library.models[1]) }, { engine.setThreads(1) }] {
      model.run()
      await model.settle()
      guard case .finished = model.state else { return XCTFail("\(model.state)") }
      engine.load()  // The same again.
      guard case .finished = model.state else { return XCTFail("\(model.state)") }
      change()
      XCTAssertEqual(model.state, .idle)
      XCTAssertNil(model.setting)
    }
    // Changed while it ran.
    model.run()
    engine.setThreads(2)
    await model.settle()
    XCTAssertEqual(model.state, .idle)
  }

  func testExportFails() async {
    let measurement = measurement
    let nowhere = URL(fileURLWithPath: "/nowhere/at/all")
    let model = BenchmarkModel(engine: makeEngine(), folder: nowhere) { _, _, _ in
      Benchmark.Outcome(measurements: [measurement], agreement: nil, images: 1)
    }
    model.export()
    XCTAssertFalse(model.exportFailed)  // There is nothing yet.
    model.run()
    await model.settle()
    model.export()
    XCTAssertTrue(model.exportFailed)
    XCTAssertNil(model.exported)
  }

  func testBenchmarkIsCancelled() async {
    let model = BenchmarkModel(engine: makeEngine()) { _, _, progress in
      var done = 0
      while progress(done, 1000) {
        done += 1
        Thread.sleep(forTimeInterval: 0.001)
      }
      return nil
    }
    model.run()
    let isRunning = await eventually {
      if case .running(let done, 1000) = model.state { done > 0 } else { false }
    }
    XCTAssertTrue(isRunning)
    model.cancel()
    await model.settle()
    XCTAssertEqual(model.state, .idle)
  }

  func testBenchmarkOfABrokenModel() async {
    let model = BenchmarkModel(engine: makeEngine()) { _, _, _ in
      throw QcnnError(.outOfMemory, "too large")
    }
    model.run()
    await model.settle()
    XCTAssertEqual(model.state, .failed(.model(.outOfMemory, name: "one-q", detail: "too large")))
  }

  // The rest.

  func testChangesAreTold() async {
    let engine = makeEngine()
    var changes = 0
    engine.willChange = { changes += 1 }
    engine.load()
    await engine.settle()
    XCTAssertGreaterThanOrEqual(changes, 2)
  }

  func testModelFolders() async throws {
    let files = FileManager.default
    let folder = files.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    let bundled = folder.appendingPathComponent("bundled")
    let imported = folder.appendingPathComponent("imported")
    try files.createDirectory(at: bundled, withIntermediateDirectories: true)
    defer { try? files.removeItem(at: folder) }
    for name in ["net-q.tflite", "net.tflite", "net.txt", "other.tflite"] {
      try Data(name.utf8).write(to: bundled.appendingPathComponent(name))
    }
    let library = ModelFolders(bundled: bundled, imported: imported)
    XCTAssertEqual(library.entries().map(\.name), ["net-q", "other"])
    XCTAssertEqual(library.entries()[0].twin?.lastPathComponent, "net.tflite")
    XCTAssertNil(library.entries()[1].twin)
    try library.remove(library.entries()[0])  // Bundled ones stay.
    XCTAssertEqual(library.entries().count, 2)

    // Copies that are refused leave nothing.
    let golden = try Fixtures.golden()
    let cut = folder.appendingPathComponent("cut.tflite")
    try Fixtures.model(golden.model).prefix(5000).write(to: cut)
    let float = folder.appendingPathComponent(golden.float)
    try Fixtures.model(golden.float).replacing("qcnn_tflite", by: "qcnn_tflitx").write(to: float)
    for (url, problem) in [(cut, Problem.damaged), (float, .noMetadata)] {
      XCTAssertThrowsError(try library.add(url)) {
        XCTAssertEqual(($0 as? QcnnError)?.problem, problem)
      }
    }
    XCTAssertThrowsError(try library.add(folder.appendingPathComponent("no such file"))) {
      XCTAssertFalse($0 is QcnnError)
    }
    XCTAssertEqual(try files.contentsOfDirectory(atPath: imported.path), [])

    // The float model is prepared as its twin says, and found beside it.
    let quantized = Fixtures.assets.appendingPathComponent("models/" + golden.model)
    let first = try library.add(quantized)
    XCTAssertNil(first.twin)
    _ = try library.add(float)
    XCTAssertEqual(library.entry(first.id).twin?.lastPathComponent, golden.float)
    XCTAssertEqual(try library.add(quantized).id, first.id)  // In place of the other.
    XCTAssertEqual(library.entries().filter(\.isImported).count, 2)
    XCTAssertEqual(try files.contentsOfDirectory(atPath: imported.path).count, 2)
    _ = try Classifier(contentsOf: first.url)

    try library.remove(first)
    XCTAssertEqual(
      library.entries().filter(\.isImported).map(\.url.lastPathComponent), [golden.float])
    // Still an entry, which cannot be opened.
    XCTAssertEqual(library.entry(first.id).name, first.name)
  }

  func testAnnouncements() async {
    var announcer = Announcer(pause: 3)
    let start = Date(timeIntervalSince1970: 0)
    XCTAssertTrue(announcer.isNews("bag", at: start))
    XCTAssertFalse(announcer.isNews("coat", at: start + 1))
    XCTAssertFalse(announcer.isNews("bag", at: start + 5))
    XCTAssertTrue(announcer.isNews("coat", at: start + 6))
  }
}

private final class Seen: @unchecked Sendable {
  private let lock = NSLock()
  private(set) var settings: [Setting] = []

  func add(_ setting: Setting) {
    lock.lock()
    defer { lock.unlock() }
    settings.append(setting)
  }
}
