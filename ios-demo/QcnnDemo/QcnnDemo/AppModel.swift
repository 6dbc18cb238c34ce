import Combine
import Foundation
import QcnnKit

enum Tab: Hashable {
  case live, photo, benchmark, settings
}

/// Everything that the screens share.
@MainActor
final class AppModel: ObservableObject {
  @Published var tab = Tab.live
  @Published var isChoosingPhoto = false
  @Published var isImporting = false

  let camera = DeviceCamera()
  let engine: Observed<EngineModel>
  let live: Observed<LiveModel>
  let photo: Observed<PhotoModel>
  let benchmark: Observed<BenchmarkModel>

  init() {
    let bundle = Bundle.main
    let assets = (bundle.resourceURL ?? bundle.bundleURL).appendingPathComponent("Assets")
    let folder = FileManager.default.urls(for: .applicationSupportDirectory, in: .userDomainMask)[0]
    let library = ModelFolders(
      bundled: assets.appendingPathComponent("models"),
      imported: folder.appendingPathComponent("models"))
    let preferences = StoredPreferences()
    let engine = EngineModel(library: library, preferences: preferences)
    self.engine = Observed(engine)
    live = Observed(LiveModel(camera: camera, engine: engine, preferences: preferences))
    photo = Observed(PhotoModel(engine: engine, decode: PhotoDecoder.decode))
    benchmark = Observed(
      BenchmarkModel(engine: engine, versions: ["qcnn": Libraries.qcnn]) {
        entry, setting, progress in
        let images = try GoldenImages.load(from: assets.appendingPathComponent("golden"))
        return try Benchmark().measure(entry, setting, images: images, progress: progress)
      })
    engine.load()
  }

  /// A file that another app shared or opened here.
  func open(_ url: URL) {
    if url.pathExtension.lowercased() == "tflite" {
      add(url)
      tab = .settings
    } else {
      let isScoped = url.startAccessingSecurityScopedResource()
      photo.model.show(try? Data(contentsOf: url))
      if isScoped { url.stopAccessingSecurityScopedResource() }
      tab = .photo
    }
  }

  /// Copies a model into the app.
  func add(_ url: URL) {
    let isScoped = url.startAccessingSecurityScopedResource()
    engine.model.add(url)
    if isScoped { url.stopAccessingSecurityScopedResource() }
  }

  /// What a button below a failure does.
  func perform(_ action: Action) {
    switch action {
    case .allowCamera: Task { await live.model.perform(action) }
    case .retry:
      if tab == .settings {
        isImporting = true
      } else {
        Task { await live.model.perform(action) }
      }
    case .openSettings: SystemSettings.open()
    case .chooseModel:
      engine.model.forgetImport()
      tab = .settings
    case .choosePhoto, .chooseOtherPhoto:
      tab = .photo
      isChoosingPhoto = true
    }
  }
}

/// The images of the golden file: the same on every device.
enum GoldenImages {
  private struct Golden: Decodable {
    struct Image: Decodable {
      let file: String
    }
    let images: [Image]
  }

  static func load(from folder: URL) throws -> [RGBImage] {
    let json = try Data(contentsOf: folder.appendingPathComponent("golden.json"))
    return try JSONDecoder().decode(Golden.self, from: json).images.map {
      try PhotoDecoder.decode(Data(contentsOf: folder.appendingPathComponent($0.file)))
    }
  }
}

/// Kept in the app's user defaults.
final class StoredPreferences: Preferences {
  private let defaults = UserDefaults.standard

  var model: String? {
    get { defaults.string(forKey: "model") }
    set { defaults.set(newValue, forKey: "model") }
  }
  var threads: Int {
    get { defaults.integer(forKey: "threads") }
    set { defaults.set(newValue, forKey: "threads") }
  }
  var kernel: String? {
    get { defaults.string(forKey: "kernel") }
    set { defaults.set(newValue, forKey: "kernel") }
  }
  var isFrontCamera: Bool {
    get { defaults.bool(forKey: "front_camera") }
    set { defaults.set(newValue, forKey: "front_camera") }
  }
}
