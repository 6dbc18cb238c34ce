import QcnnKit
import SwiftUI
import UniformTypeIdentifiers

struct SettingsView: View {
  @ObservedObject var app: AppModel
  @ObservedObject var engine: Observed<EngineModel>

  private var model: EngineModel { engine.model }

  var body: some View {
    Form {
      if let failure = model.importFailure {
        FailureView(failure: failure) { action in app.perform(action) }
      }
      Section {
        Picker(text(.settingsModel), selection: selected) {
          ForEach(model.models) { entry in Text(verbatim: entry.name).tag(entry.id) }
        }
        Button(text(.settingsImport)) { app.isImporting = true }
        ForEach(model.models.filter(\.isImported)) { entry in
          Button(text(.settingsRemove, entry.name), role: .destructive) { model.remove(entry) }
        }
      } footer: {
        VStack(alignment: .leading) {
          Text(verbatim: text(.settingsImportHint))
          if let entry = model.imported { Text(verbatim: text(.settingsImported, entry.name)) }
          if let licence { Text(verbatim: text(.settingsLicence, licence)) }
        }
      }
      Section {
        Picker(text(.settingsThreads), selection: threads) {
          ForEach(Array(model.threadChoices), id: \.self) { count in
            Text(verbatim: text(.threads, count)).tag(count)
          }
        }
        Picker(text(.settingsKernel), selection: kernel) {
          Text(verbatim: text(.settingsKernelAuto, Kernel.selected)).tag(String?.none)
          ForEach(Kernel.all.filter(\.isAvailable)) { kernel in
            Text(verbatim: kernel.name).tag(Optional(kernel.name))
          }
        }
      } footer: {
        VStack(alignment: .leading) {
          ForEach(Kernel.all.filter { !$0.isAvailable }) { kernel in
            Text(verbatim: text(.settingsKernelMissing, kernel.name, kernel.features))
          }
        }
      }
      Section {
        Text(verbatim: text(.settingsAboutText))
        Text(verbatim: text(.settingsVersions, Libraries.qcnn, Libraries.tensorFlowLite))
          .foregroundStyle(.secondary)
      } header: {
        Text(verbatim: text(.settingsAbout))
      }
    }
    .fileImporter(
      isPresented: $app.isImporting,
      allowedContentTypes: [UTType(filenameExtension: "tflite") ?? .data]
    ) { result in
      if case .success(let url) = result { app.add(url) } else { model.importFailed() }
    }
    .onDisappear { model.forgetImport() }
    .onChange(of: model.imported) { entry in
      if let entry { Speech.announce(text(.settingsImported, entry.name)) }
    }
  }

  private var licence: String? {
    guard case .ready(let classifier) = model.state else { return nil }
    return (classifier as? Classifier)?.info.licence
  }

  private var selected: Binding<String> {
    Binding(
      get: { model.selected?.id ?? "" },
      set: { id in
        if let entry = model.models.first(where: { $0.id == id }) { model.select(entry) }
      })
  }

  private var threads: Binding<Int> {
    Binding(get: { model.setting.threads }, set: { model.setThreads($0) })
  }

  private var kernel: Binding<String?> {
    Binding(get: { model.setting.kernel }, set: { model.setKernel($0) })
  }
}
