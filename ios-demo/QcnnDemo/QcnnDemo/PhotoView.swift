import PhotosUI
import QcnnKit
import SwiftUI
import UIKit

struct PhotoView: View {
  @ObservedObject var app: AppModel
  @ObservedObject var photo: Observed<PhotoModel>
  @State private var chosen: PhotosPickerItem?

  var body: some View {
    ScrollView {
      VStack(alignment: .leading, spacing: 16) {
        if let data = photo.model.photo, let image = UIImage(data: data) {
          Image(uiImage: image)
            .resizable()
            .scaledToFit()
            .frame(maxHeight: 360)
            .accessibilityLabel(text(.photoShown))
        }
        content
      }
      .frame(maxWidth: .infinity, alignment: .leading)
      .padding()
    }
    .photosPicker(isPresented: $app.isChoosingPhoto, selection: $chosen, matching: .images)
    .onChange(of: chosen) { item in
      guard let item else { return }
      chosen = nil
      Task { photo.model.show(try? await item.loadTransferable(type: Data.self)) }
    }
  }

  @ViewBuilder private var content: some View {
    switch photo.model.state {
    case .empty:
      Text(verbatim: text(.photoHint))
      choose(.photoChoose)
    case .loading(let name):
      BusyView(words: text(.modelLoading, name))
    case .working:
      BusyView(words: text(.liveWaiting))
    case .answer(let answer):
      AnswerView(answer: answer, times: photo.model.times, model: photo.model.modelName)
        .onAppear { Speech.announce(answer.top.first?.label ?? "") }
      choose(.photoOther)
    case .failed(let failure):
      FailureView(failure: failure) { action in app.perform(action) }
    }
  }

  private func choose(_ word: Word) -> some View {
    Button(text(word)) { app.isChoosingPhoto = true }
      .buttonStyle(.borderedProminent)
      .accessibilityIdentifier("choose-photo")
  }
}
