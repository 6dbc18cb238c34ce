import QcnnKit
import SwiftUI

/// What went wrong, why, and what can be done.
struct FailureView: View {
  let failure: Failure
  let perform: (QcnnKit.Action) -> Void

  var body: some View {
    ScrollView {
      VStack(alignment: .leading, spacing: 16) {
        Text(verbatim: text(failure.title))
          .font(.title2)
          .accessibilityAddTraits(.isHeader)
        Text(verbatim: message)
        if let detail = failure.detail {
          Text(verbatim: detail)
            .font(.footnote)
            .foregroundStyle(.secondary)
        }
        ForEach(failure.actions, id: \.rawValue) { action in
          Button(text(action.word)) { perform(action) }
            .buttonStyle(.borderedProminent)
            .accessibilityIdentifier("action-\(action.rawValue)")
        }
      }
      .frame(maxWidth: .infinity, alignment: .leading)
      .padding()
    }
    .accessibilityIdentifier("failure")
    .onAppear { Speech.announce(text(failure.title)) }
  }

  private var message: String {
    if let name = failure.name { text(failure.text, name) } else { text(failure.text) }
  }
}
