import UIKit

/// The app's page in the system's settings.
@MainActor
enum SystemSettings {
  static func open() {
    guard let url = URL(string: UIApplication.openSettingsURLString) else { return }
    UIApplication.shared.open(url)
  }
}

/// Speaks to people who cannot see the screen.
@MainActor
enum Speech {
  static func announce(_ text: String) {
    UIAccessibility.post(notification: .announcement, argument: text)
  }
}
