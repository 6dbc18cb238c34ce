import Combine
import QcnnKit

/// A view model for SwiftUI: views that observe it are drawn anew when it changes.
@MainActor
final class Observed<Model: ViewModel>: ObservableObject {
  let objectWillChange = ObservableObjectPublisher()
  let model: Model

  init(_ model: Model) {
    self.model = model
    model.willChange = { [weak self] in self?.objectWillChange.send() }
  }
}
