import Foundation

/// The photo screen: one photo, one answer.
public final class PhotoModel: ViewModel {
  /// Decodes an image's file: upright, over white. Away from the main thread.
  public typealias Decode = @Sendable (Data) throws -> RGBImage

  public enum State: Equatable {
    /// Nothing was chosen yet.
    case empty
    case loading(name: String)
    case working
    case answer(Answer)
    case failed(Failure)
  }

  public private(set) var state: State = .empty { willSet { willChange() } }
  /// The photo's file, to be shown.
  public private(set) var photo: Data? { willSet { willChange() } }
  public private(set) var times = MedianTimes() { willSet { willChange() } }

  private let engine: EngineModel
  private let decode: Decode
  private var image: RGBImage?
  private var work: Task<Void, Never>?

  public init(engine: EngineModel, decode: @escaping Decode) {
    self.engine = engine
    self.decode = decode
    super.init()
    engine.listen { [weak self] in self?.classify() }
  }

  public var modelName: String { engine.selected?.name ?? "" }

  /// A photo was chosen, or came from another app; nil: it could not be loaded.
  public func show(_ data: Data?) {
    work?.cancel()
    image = nil
    photo = nil
    guard let data else {
      state = .failed(.photoFailed)
      return
    }
    state = .working
    let decode = decode
    work = Task { [weak self] in
      let result = await Task.detached(priority: .userInitiated) { Result { try decode(data) } }
        .value
      guard !Task.isCancelled, let self else { return }
      guard case .success(let decoded) = result else {
        state = .failed(.photoFailed)
        return
      }
      photo = data
      image = decoded
      classify()
    }
  }

  /// Until what was begun is done; for tests.
  public func settle() async {
    while let current = work {
      await current.value
      if current == work { return }
    }
  }

  private func classify() {
    guard let image else {
      if case .failed(let failure) = engine.state, state != .failed(.photoFailed) {
        state = .failed(failure)
      } else if case .failed(.model) = state {
        state = .empty
      }
      return
    }
    work?.cancel()
    switch engine.state {
    case .loading(let name): state = .loading(name: name)
    case .failed(let failure): state = .failed(failure)
    case .ready(let classifier):
      state = .working
      work = Task { [weak self] in
        let result = await Task.detached(priority: .userInitiated) {
          Result { try classifier.classify(image) }
        }.value
        guard !Task.isCancelled, let self else { return }
        switch result {
        case .success(let answer):
          times = MedianTimes()
          times.add(answer)
          state = .answer(answer)
        case .failure(let error):
          state = .failed(Failure(error, model: engine.selected?.name ?? ""))
        }
      }
    }
  }
}
