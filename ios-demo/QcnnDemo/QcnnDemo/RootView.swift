import QcnnKit
import SwiftUI

struct RootView: View {
  @ObservedObject var app: AppModel
  @Environment(\.scenePhase) private var phase

  var body: some View {
    #if DEBUG
      // For the UI tests: `-failure 3` shows that failure and nothing else.
      let failures = Failure.all
      if let text = UserDefaults.standard.string(forKey: "failure"), let number = Int(text),
        failures.indices.contains(number)
      {
        FailureView(failure: failures[number]) { action in app.perform(action) }
      } else {
        tabs
      }
    #else
      tabs
    #endif
  }

  private var tabs: some View {
    TabView(selection: $app.tab) {
      LiveView(app: app, live: app.live)
        .tabItem { Label(text(.tabLive), systemImage: "camera") }
        .tag(Tab.live)
      PhotoView(app: app, photo: app.photo)
        .tabItem { Label(text(.tabPhoto), systemImage: "photo") }
        .tag(Tab.photo)
      BenchmarkView(app: app, benchmark: app.benchmark, engine: app.engine)
        .tabItem { Label(text(.tabBenchmark), systemImage: "stopwatch") }
        .tag(Tab.benchmark)
      SettingsView(app: app, engine: app.engine)
        .tabItem { Label(text(.tabSettings), systemImage: "gearshape") }
        .tag(Tab.settings)
    }
    .onOpenURL { url in app.open(url) }
    .onChange(of: phase) { phase in
      if phase == .active { app.engine.model.refresh() }
    }
  }
}
