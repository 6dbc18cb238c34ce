import XCTest

@MainActor
final class ScreenTests: XCTestCase {
  private func launch(_ arguments: String...) -> XCUIApplication {
    let app = XCUIApplication()
    app.launchArguments = ["-AppleLanguages", "(en)"] + arguments
    app.launch()
    return app
  }

  func testTabs() {
    let app = launch()
    for tab in ["Live", "Photo", "Benchmark", "Settings"] {
      app.tabBars.buttons[tab].tap()
      XCTAssertTrue(app.tabBars.buttons[tab].isSelected)
    }
  }

  /// The simulator has no camera, or was not asked: either way there is a screen with a way on.
  func testLiveScreenWithoutCameraOffersPhotos() {
    let app = launch()
    XCTAssertTrue(app.buttons["action-choosePhoto"].waitForExistence(timeout: 10))
    app.buttons["action-choosePhoto"].tap()
    XCTAssertTrue(app.tabBars.buttons["Photo"].isSelected)
  }

  /// Every failure's screen, which a debug build shows when it is told its number.
  func testFailureScreens() {
    let count = 18
    for number in 0..<count {
      let app = launch("-failure", "\(number)")
      XCTAssertTrue(
        app.buttons.matching(NSPredicate(format: "identifier BEGINSWITH 'action-'"))
          .firstMatch.waitForExistence(timeout: 10), "failure \(number)")
      app.terminate()
    }
  }

  func testBenchmarkEndsWithAResultToShare() {
    let app = launch()
    app.tabBars.buttons["Benchmark"].tap()
    app.buttons["run-benchmark"].tap()
    XCTAssertTrue(app.buttons["Export as JSON"].waitForExistence(timeout: 120))
  }

  func testAccessibility() throws {
    guard #available(iOS 17, *) else { throw XCTSkip("audits begin with iOS 17") }
    let app = launch()
    for tab in ["Live", "Photo", "Benchmark", "Settings"] {
      app.tabBars.buttons[tab].tap()
      try app.performAccessibilityAudit()
    }
  }

  func testLaunchTime() {
    measure(metrics: [XCTApplicationLaunchMetric()]) { XCUIApplication().launch() }
  }
}
