import Foundation

/// A model that can be chosen.
public struct ModelEntry: Equatable, Sendable, Identifiable {
  /// The file's name; unique.
  public let id: String
  public let url: URL
  /// Its float original, beside it.
  public let twin: URL?
  public let isImported: Bool

  public init(id: String, url: URL, twin: URL? = nil, isImported: Bool = false) {
    self.id = id
    self.url = url
    self.twin = twin
    self.isImported = isImported
  }

  /// What people see.
  public var name: String { id.hasSuffix(".tflite") ? String(id.dropLast(7)) : id }
}

/// The models of the app.
public protocol ModelLibrary: AnyObject, Sendable {
  /// The bundled ones first; the first is the default.
  func entries() -> [ModelEntry]
  /// Copies a file into the app.
  func add(_ url: URL) throws -> ModelEntry
  func remove(_ entry: ModelEntry) throws
}

/// Models in two folders: those that come with the app, and those that people bring.
public final class ModelFolders: ModelLibrary, @unchecked Sendable {
  private let bundled: URL
  private let imported: URL
  private let files = FileManager.default

  public init(bundled: URL, imported: URL) {
    self.bundled = bundled
    self.imported = imported
  }

  public func entries() -> [ModelEntry] {
    let models = list(bundled)
    let names = Set(models.map(\.lastPathComponent))
    func twin(_ name: String) -> String {
      name.replacingOccurrences(of: "-q.tflite", with: ".tflite")
    }
    let twins = Set(models.map(\.lastPathComponent).filter { twin($0) != $0 }.map(twin))
    let own = models.filter { !twins.contains($0.lastPathComponent) }.map { url in
      let name = url.lastPathComponent
      let float = twin(name)
      return ModelEntry(
        id: name, url: url,
        twin: float != name && names.contains(float) ? bundled.appendingPathComponent(float) : nil)
    }
    return own
      + list(imported).map { ModelEntry(id: $0.lastPathComponent, url: $0, isImported: true) }
  }

  /// Copies a file, whole or not at all; another of the same name stays.
  public func add(_ url: URL) throws -> ModelEntry {
    try files.createDirectory(at: imported, withIntermediateDirectories: true)
    let taken = Set(entries().map(\.id))
    let stem = url.deletingPathExtension().lastPathComponent
    var name = "\(stem).tflite"
    var number = 2
    while taken.contains(name) {
      name = "\(stem)-\(number).tflite"
      number += 1
    }
    let partial = imported.appendingPathComponent(".\(UUID().uuidString)")
    do {
      try files.copyItem(at: url, to: partial)
      try files.moveItem(at: partial, to: imported.appendingPathComponent(name))
    } catch {
      try? files.removeItem(at: partial)
      throw error
    }
    return ModelEntry(id: name, url: imported.appendingPathComponent(name), isImported: true)
  }

  public func remove(_ entry: ModelEntry) throws {
    guard entry.isImported else { return }
    try files.removeItem(at: entry.url)
  }

  private func list(_ folder: URL) -> [URL] {
    let names = (try? files.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(".tflite") && !$0.hasPrefix(".") }.sorted()
      .map { folder.appendingPathComponent($0) }
  }
}
