/// What a button of a failure's screen does.
public enum Action: String, Sendable, CaseIterable {
  case allowCamera, openSettings, retry, chooseModel, choosePhoto, chooseOtherPhoto

  public var word: Word {
    switch self {
    case .allowCamera: .actionAllow
    case .openSettings: .actionSettings
    case .retry: .actionRetry
    case .chooseModel: .actionOtherModel
    case .choosePhoto: .photoChoose
    case .chooseOtherPhoto: .photoOther
    }
  }
}

/// Something that keeps a screen from showing an answer: its cause in words, and what can be done.
public enum Failure: Equatable, Sendable {
  // The camera.
  case ask, denied, noCamera, inUse, lost, blocked, cameraBroken
  // The model, by the name that people see; `detail` is the sentence for people who make models.
  case model(Problem, name: String, detail: String)
  case importFailed
  case photoFailed

  /// One of every kind: for tests, and to look at.
  public static var all: [Failure] {
    [.ask, .denied, .noCamera, .inUse, .lost, .blocked, .cameraBroken, .importFailed, .photoFailed]
      + Problem.allCases.filter { $0 != .badImage }.map {
        .model($0, name: "net.tflite", detail: "a sentence for people who make models")
      }
  }

  public var title: Word {
    switch self {
    case .ask: .askTitle
    case .denied: .deniedTitle
    case .noCamera: .noCameraTitle
    case .inUse: .inUseTitle
    case .lost: .lostTitle
    case .blocked: .blockedTitle
    case .cameraBroken: .cameraBrokenTitle
    case .model(let problem, _, _): Self.words(problem).title
    case .importFailed: .importFailedTitle
    case .photoFailed: .photoFailedTitle
    }
  }

  public var text: Word {
    switch self {
    case .ask: .askText
    case .denied: .deniedText
    case .noCamera: .noCameraText
    case .inUse: .inUseText
    case .lost: .lostText
    case .blocked: .blockedText
    case .cameraBroken: .cameraBrokenText
    case .model(let problem, _, _): Self.words(problem).text
    case .importFailed: .importFailedText
    case .photoFailed: .photoFailedText
    }
  }

  /// The text's argument: the model's name.
  public var name: String? {
    if case .model(let problem, let name, _) = self, problem != .badImage { name } else { nil }
  }

  /// Shown below the text.
  public var detail: String? {
    if case .model(.refused, _, let detail) = self { detail } else { nil }
  }

  public var actions: [Action] {
    switch self {
    case .ask: [.allowCamera, .choosePhoto]
    case .denied: [.openSettings, .choosePhoto]
    case .noCamera, .blocked: [.choosePhoto]
    case .inUse, .lost, .cameraBroken: [.retry, .choosePhoto]
    case .model(.badImage, _, _), .photoFailed: [.chooseOtherPhoto]
    case .model: [.chooseModel]
    case .importFailed: [.retry]
    }
  }

  /// The screen for an error that came up with a model.
  public init(_ error: any Error, model name: String) {
    if let error = error as? QcnnError {
      self = .model(error.problem, name: name, detail: error.message)
    } else {
      self = .model(.refused, name: name, detail: "\(error)")
    }
  }

  private static func words(_ problem: Problem) -> (title: Word, text: Word) {
    switch problem {
    case .notAModel: (.notAModelTitle, .notAModelText)
    case .damaged: (.damagedTitle, .damagedText)
    case .noMetadata: (.noMetadataTitle, .noMetadataText)
    case .badMetadata: (.badMetadataTitle, .badMetadataText)
    case .unsupported: (.unsupportedTitle, .unsupportedText)
    case .opsMissing: (.opsMissingTitle, .opsMissingText)
    case .refused: (.refusedTitle, .refusedText)
    case .outOfMemory: (.memoryTitle, .memoryText)
    case .gone: (.modelGoneTitle, .modelGoneText)
    case .badImage: (.photoFailedTitle, .photoFailedText)
    }
  }
}
