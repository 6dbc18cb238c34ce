import Foundation

/// The benchmark screen: float beside Q, on this device.
public final class BenchmarkModel: ViewModel {
  /// Measures, away from the main thread; nil if it was stopped.
  public typealias Measure =
    @Sendable (ModelEntry, Setting, _ progress: @escaping @Sendable (Int, Int) -> Bool) throws ->
    Benchmark.Outcome?

  public enum State: Equatable {
    case idle
    case running(done: Int, of: Int)
    case finished(Benchmark.Outcome)
    case failed(Failure)
  }

  public private(set) var state: State = .idle { willSet { willChange() } }
  /// The file of the last export.
  public private(set) var exported: URL? { willSet { willChange() } }
  public private(set) var exportFailed = false { willSet { willChange() } }
  /// Of the run whose outcome is shown.
  public private(set) var setting: Setting?
  private var entry: ModelEntry?

  private let engine: EngineModel
  private let measure: Measure
  private let versions: [String: String]
  private let folder: URL
  private let stopped = Flag()
  private var work: Task<Void, Never>?

  /// - Parameters:
  ///   - versions: of the app and others, by name, for the JSON.
  ///   - folder: where it is written to be shared.
  public init(
    engine: EngineModel, versions: [String: String] = [:],
    folder: URL = FileManager.default.temporaryDirectory, measure: @escaping Measure
  ) {
    self.engine = engine
    self.versions = versions
    self.folder = folder
    self.measure = measure
    super.init()
    engine.listen { [weak self] in self?.forgetIfOutdated() }
  }

  public func run() {
    guard work == nil, let entry = engine.selected else { return }
    let setting = engine.setting
    let measure = measure
    let stopped = stopped
    self.setting = setting
    self.entry = entry
    stopped.isSet = false
    exported = nil
    exportFailed = false
    state = .running(done: 0, of: 0)
    work = Task { [weak self] in
      let result = await Task.detached(priority: .userInitiated) {
        Result {
          try measure(entry, setting) { done, total in
            Task { @MainActor in self?.progressed(done, total) }
            return !stopped.isSet
          }
        }
      }.value
      guard let self else { return }
      work = nil
      switch result {
      case .success(let outcome?): state = .finished(outcome)
      case .success(nil): state = .idle
      case .failure(let error): state = .failed(Failure(error, model: entry.name))
      }
      forgetIfOutdated()
    }
  }

  /// Figures are not shown beside the name of another model or setting than they were measured with.
  private func forgetIfOutdated() {
    guard work == nil, let setting, setting != engine.setting || entry != engine.selected else {
      return
    }
    self.setting = nil
    exported = nil
    exportFailed = false
    state = .idle
  }

  public func cancel() { stopped.isSet = true }

  /// Until what was begun is done; for tests.
  public func settle() async { await work?.value }

  /// Writes the result as JSON, to be shared.
  public func export(date: Date = Date()) {
    guard case .finished(let outcome) = state, let setting, let first = outcome.measurements.first
    else { return }
    do {
      let machine = Machine.describe()
      let document = try ResultDocument(
        outcome.measurements, machine: machine, threads: setting.threads,
        runtimeVersion: Libraries.tensorFlowLite, versions: versions, date: date)
      let name = "\(first.name)-\(machine.cpu).json".map { " /".contains($0) ? "-" : $0 }
      let url = folder.appendingPathComponent(String(name))
      try document.json().write(to: url, options: .atomic)
      exportFailed = false
      exported = url
    } catch {
      exported = nil
      exportFailed = true
    }
  }

  private func progressed(_ done: Int, _ total: Int) {
    guard work != nil, case .running(let before, _) = state, done > before else { return }
    state = .running(done: done, of: total)
  }
}

extension Benchmark {
  /// Measures a model of the app and its float twin.
  ///
  /// - Parameters:
  ///   - images: the golden ones; those that the model cannot take are left out.
  /// - Returns: nil if it was stopped.
  public func measure(
    _ entry: ModelEntry, _ setting: Setting, images: [RGBImage],
    progress: @escaping (Int, Int) -> Bool
  ) throws -> Outcome? {
    let file = try ModelFile(contentsOf: entry.url)
    let info = try ModelInfo(file)
    var subjects = [
      Subject(name: entry.name, file: file) {
        try Classifier(file, threads: setting.threads, ops: setting.ops)
      }
    ]
    if let url = entry.twin {
      let twin = try ModelFile(contentsOf: url)
      let name = url.deletingPathExtension().lastPathComponent
      subjects.append(
        Subject(name: name, file: twin) {
          // The stock runtime alone: what a float model takes without us.
          try Classifier(twin, threads: setting.threads, ops: .none, twin: info)
        })
    }
    let fitting = images.filter(info.preprocessing.takes)
    return try run(
      subjects, images: fitting.isEmpty ? [RGBImage(gray: info.preprocessing.size)] : fitting,
      progress: progress)
  }
}

/// A truth value that two threads share.
private final class Flag: @unchecked Sendable {
  private let lock = NSLock()
  private var value = false

  var isSet: Bool {
    get {
      lock.lock()
      defer { lock.unlock() }
      return value
    }
    set {
      lock.lock()
      defer { lock.unlock() }
      value = newValue
    }
  }
}
