import QcnnKit
import SwiftUI

struct LiveView: View {
  let app: AppModel
  @ObservedObject var live: Observed<LiveModel>
  @State private var announcer = Announcer()

  var body: some View {
    VStack(spacing: 0) {
      if live.model.isRunning {
        CameraPreview(feed: app.camera.feed)
          .accessibilityElement(children: .ignore)
          .accessibilityLabel(text(.livePreview))
          .overlay(alignment: .bottomTrailing) { switchButton }
      }
      panel
    }
    .task { await live.model.appear() }
    .onDisappear { live.model.disappear() }
  }

  private var switchButton: some View {
    Button {
      Task { await live.model.switchCamera() }
    } label: {
      Image(systemName: "arrow.triangle.2.circlepath.camera")
        .padding(12)
        .background(.regularMaterial, in: Circle())
    }
    .accessibilityLabel(text(.liveSwitchCamera))
    .padding()
  }

  @ViewBuilder private var panel: some View {
    switch live.model.state {
    case .idle:
      Spacer()
    case .loading(let name):
      BusyView(words: text(.modelLoading, name)).padding()
    case .waiting:
      BusyView(words: text(.liveWaiting)).padding()
    case .answer(let answer):
      ScrollView {
        AnswerView(answer: answer, times: live.model.times, model: live.model.modelName).padding()
      }
      .frame(maxHeight: 320)
      .onChange(of: answer.top.first?.label) { label in speak(label) }
    case .failed(let failure):
      FailureView(failure: failure) { action in app.perform(action) }
    }
  }

  private func speak(_ label: String?) {
    guard let label, announcer.isNews(label) else { return }
    Speech.announce(label)
  }
}
