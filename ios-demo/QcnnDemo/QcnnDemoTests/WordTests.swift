import QcnnKit
import XCTest

@testable import QcnnDemo

@MainActor
final class WordTests: XCTestCase {
  func testEveryWordIsInTheCatalog() {
    for word in Word.allCases { XCTAssertNotEqual(text(word), word.rawValue) }
  }

  func testPlurals() {
    XCTAssertNotEqual(text(.threads, 1), text(.threads, 2))
  }
}
