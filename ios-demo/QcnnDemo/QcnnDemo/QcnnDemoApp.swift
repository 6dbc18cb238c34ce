import QcnnKit
import SwiftUI

@main
struct QcnnDemoApp: App {
  @StateObject private var app = AppModel()

  var body: some Scene {
    WindowGroup {
      RootView(app: app)
    }
  }
}
