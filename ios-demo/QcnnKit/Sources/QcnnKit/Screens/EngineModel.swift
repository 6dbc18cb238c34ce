import Foundation

/// What people set, kept between starts.
public protocol Preferences: AnyObject {
  var model: String? { get set }
  /// 0: as many as there are big cores, four at most.
  var threads: Int { get set }
  /// nil: the fastest.
  var kernel: String? { get set }
  /// Of the live screen.
  var isFrontCamera: Bool { get set }
}

/// How a model is run.
public struct Setting: Equatable, Sendable {
  public let threads: Int
  public let kernel: String?

  public init(threads: Int, kernel: String? = nil) {
    self.threads = threads
    self.kernel = kernel
  }

  var ops: Ops { .registration(kernel: kernel) }
}

/// The chosen model and settings, and the classifier made of them; all screens share one.
public final class EngineModel: ViewModel {
  public typealias Open = @Sendable (ModelEntry, Setting) throws -> any Classifying

  public enum State {
    case loading(name: String)
    case ready(any Classifying)
    case failed(Failure)
  }

  public private(set) var state: State {
    willSet { willChange() }
    didSet { for listener in listeners { listener() } }
  }
  public private(set) var models: [ModelEntry] { willSet { willChange() } }
  /// Why the last import failed, until the next.
  public private(set) var importFailure: Failure? { willSet { willChange() } }
  /// The last model that was imported.
  public private(set) var imported: ModelEntry? { willSet { willChange() } }
  public private(set) var selected: ModelEntry? { willSet { willChange() } }

  private let library: any ModelLibrary
  private let preferences: any Preferences
  private let mostThreads: Int
  private let open: Open
  private var listeners: [@MainActor () -> Void] = []
  private var loading: Task<Void, Never>?

  /// - Parameters:
  ///   - open: makes a classifier; away from the main thread.
  public init(
    library: any ModelLibrary, preferences: any Preferences, mostThreads: Int = Machine.bigCores,
    open: @escaping Open = EngineModel.open
  ) {
    self.library = library
    self.preferences = preferences
    self.mostThreads = max(1, mostThreads)
    self.open = open
    models = library.entries()
    state = .loading(name: "")
    super.init()
    // The one chosen before, even if its file is gone: opening it says so.
    selected = preferences.model.map(library.entry) ?? models.first
  }

  @Sendable public nonisolated static func open(
    _ entry: ModelEntry, _ setting: Setting
  ) throws -> any Classifying {
    let file = try ModelFile(contentsOf: entry.url)
    return try Classifier(file, threads: setting.threads, ops: setting.ops)
  }

  /// Tells of every new state.
  public func listen(_ listener: @escaping @MainActor () -> Void) { listeners.append(listener) }

  public var setting: Setting {
    let wanted = preferences.threads == 0 ? 4 : preferences.threads
    let kernel = preferences.kernel
    // The choice may come from another device.
    let isThere = Kernel.all.contains { $0.isAvailable && $0.name == kernel }
    return Setting(threads: min(max(1, wanted), mostThreads), kernel: isThere ? kernel : nil)
  }

  public var threadChoices: ClosedRange<Int> { 1...mostThreads }

  public func select(_ entry: ModelEntry) {
    selected = entry
    preferences.model = entry.id
    load()
  }

  public func setThreads(_ threads: Int) {
    willChange()
    preferences.threads = threads
    load()
  }

  public func setKernel(_ kernel: String?) {
    willChange()
    preferences.kernel = kernel
    load()
  }

  /// Makes the classifier anew.
  public func load() {
    loading?.cancel()
    guard let entry = selected else {
      state = .failed(.model(.gone, name: "", detail: "there is no model in the app"))
      return
    }
    state = .loading(name: entry.name)
    let setting = setting
    let open = open
    loading = Task { [weak self] in
      let result = await Task.detached(priority: .userInitiated) {
        Result { try open(entry, setting) }
      }.value
      guard !Task.isCancelled, let self else { return }
      switch result {
      case .success(let classifier): state = .ready(classifier)
      case .failure(let error): state = .failed(Failure(error, model: entry.name))
      }
    }
  }

  /// Until what was begun is done; for tests.
  public func settle() async { await loading?.value }

  /// Copies a model into the app and chooses it, unless it cannot be used.
  public func add(_ url: URL) {
    importFailure = nil
    do {
      let entry = try library.add(url)
      models = library.entries()
      imported = entry
      select(entry)
    } catch {
      imported = nil
      importFailure =
        error is QcnnError ? Failure(error, model: url.lastPathComponent) : .importFailed
    }
  }

  /// Another model is to be chosen.
  public func forgetImport() { importFailure = nil }

  /// What kept the file from being read before it could be copied.
  public func importFailed() {
    imported = nil
    importFailure = .importFailed
  }

  public func remove(_ entry: ModelEntry) {
    try? library.remove(entry)
    models = library.entries()
    if imported == entry { imported = nil }
    if selected == entry, let first = models.first { select(first) }
  }

  /// After the app was away: the file of an imported model may be gone.
  public func refresh() {
    models = library.entries()
    if let selected, !models.contains(selected) {
      state = .failed(
        .model(.gone, name: selected.name, detail: "\(selected.id) is not there any more"))
    }
  }
}
