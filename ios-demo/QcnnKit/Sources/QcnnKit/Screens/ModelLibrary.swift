import Foundation

/// A model that can be chosen.
public struct ModelEntry: Equatable, Sendable, Identifiable {
  /// Unique, and the same at the next start.
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
  public var name: String { url.deletingPathExtension().lastPathComponent }
}

/// The models of the app.
public protocol ModelLibrary: AnyObject, Sendable {
  /// The bundled ones first; the first is the default.
  func entries() -> [ModelEntry]
  /// That of an id. Its file may be gone.
  func entry(_ id: String) -> ModelEntry
  /// Copies a file into the app.
  ///
  /// - Throws: `QcnnError` if it is no model that can be used, and other errors if it cannot be copied.
  func add(_ url: URL) throws -> ModelEntry
  func remove(_ entry: ModelEntry) throws
}

/// Models in two folders: those that come with the app, and those that people bring.
public final class ModelFolders: ModelLibrary, @unchecked Sendable {
  private static let quantized = "-q.tflite"
  private static let importedIDs = "imported/"
  private let bundled: URL
  private let imported: URL
  private let files = FileManager.default

  public init(bundled: URL, imported: URL) {
    self.bundled = bundled
    self.imported = imported
  }

  /// The float twin of a bundled model is no entry of its own.
  public func entries() -> [ModelEntry] {
    let names = list(bundled)
    let twins = Set(names.compactMap(Self.twin))
    return names.filter { !twins.contains($0) }.map(entry)
      + list(imported).map { entry(Self.importedIDs + $0) }
  }

  public func entry(_ id: String) -> ModelEntry {
    let isImported = id.hasPrefix(Self.importedIDs)
    let folder = isImported ? imported : bundled
    let name = isImported ? String(id.dropFirst(Self.importedIDs.count)) : id
    let twin = Self.twin(of: name).map(folder.appendingPathComponent)
    return ModelEntry(
      id: id, url: folder.appendingPathComponent(name),
      twin: twin.flatMap { files.fileExists(atPath: $0.path) ? $0 : nil }, isImported: isImported)
  }

  /// Copies a file and checks it there; nothing is left of one that is refused. One of the same name is
  /// replaced.
  public func add(_ url: URL) throws -> ModelEntry {
    try files.createDirectory(at: imported, withIntermediateDirectories: true)
    let stem = String(url.deletingPathExtension().lastPathComponent.drop { $0 == "." })
    let name = (stem.isEmpty ? "model" : stem) + ".tflite"
    let partial = imported.appendingPathComponent(".\(UUID().uuidString)")
    defer { try? files.removeItem(at: partial) }
    try files.copyItem(at: url, to: partial)
    _ = try ModelInfo(ModelFile(contentsOf: partial), twin: quantizedTwin(of: stem))
    // In one step: the file that is replaced may be mapped.
    guard rename(partial.path, imported.appendingPathComponent(name).path) == 0 else {
      throw CocoaError(.fileWriteUnknown)
    }
    return entry(Self.importedIDs + name)
  }

  public func remove(_ entry: ModelEntry) throws {
    guard entry.isImported else { return }
    try files.removeItem(at: entry.url)
  }

  /// Name of the float model beside a quantized one.
  private static func twin(of name: String) -> String? {
    name.hasSuffix(quantized) ? name.dropLast(quantized.count) + ".tflite" : nil
  }

  /// A float model that another tool wrote is prepared as its quantized twin says.
  private func quantizedTwin(of stem: String) throws -> ModelInfo? {
    let url = imported.appendingPathComponent(stem + Self.quantized)
    return files.fileExists(atPath: url.path) ? try ModelInfo(ModelFile(contentsOf: url)) : nil
  }

  private func list(_ folder: URL) -> [String] {
    let names = (try? files.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(".tflite") && !$0.hasPrefix(".") }.sorted()
  }
}
