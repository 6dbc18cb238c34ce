import Foundation
import Testing

@testable import QcnnKit

struct ImageTests {
  @Test func readsPPM() throws {
    let data = Data("P6\n# made by hand\n2 1\n255\n".utf8) + Data([0, 128, 255, 1, 2, 3])
    let image = try RGBImage(ppm: data)
    #expect(image.width == 2)
    #expect(image.height == 1)
    #expect(image.pixels == [0, 128, 255, 1, 2, 3])
  }

  @Test(arguments: [
    "", "P5 1 1 255 ", "P6 0 1 255 ", "P6 1 1 65535 ", "P6 1 1 255 \u{1}", "P6 -1 1 255 ",
    "P6 9223372036854775807 2 255 ", "P6 100000 100000 255 ",
  ])
  func refuses(_ text: String) {
    #expect(throws: QcnnError.self) { try RGBImage(ppm: Data(text.utf8)) }
  }

  @Test func fourBytesWithPaddedRows() throws {
    let bytes: [UInt8] = [1, 2, 3, 255, 9, 9, 4, 5, 6, 255, 9, 9]
    try bytes.withUnsafeBytes { bytes in
      let rgb = try RGBImage(.rgbx, bytes: bytes, width: 1, height: 2, bytesPerRow: 6)
      #expect(rgb.pixels == [1, 2, 3, 4, 5, 6])
      let bgr = try RGBImage(.bgrx, bytes: bytes, width: 1, height: 2, bytesPerRow: 6)
      #expect(bgr.pixels == [3, 2, 1, 6, 5, 4])
      #expect(throws: QcnnError.self) {
        try RGBImage(.rgbx, bytes: bytes, width: 1, height: 3, bytesPerRow: 6)
      }
      #expect(throws: QcnnError.self) {
        try RGBImage(.rgbx, bytes: bytes, width: 2, height: 1, bytesPerRow: 6)
      }
    }
  }

  /// The letter that EXIF orientations are explained with: an image of 2 x 3, numbered upright.
  @Test(arguments: [
    (1, [1, 2, 3, 4, 5, 6], 2), (2, [2, 1, 4, 3, 6, 5], 2), (3, [6, 5, 4, 3, 2, 1], 2),
    (4, [5, 6, 3, 4, 1, 2], 2), (5, [1, 3, 5, 2, 4, 6], 3), (6, [2, 4, 6, 1, 3, 5], 3),
    (7, [6, 4, 2, 5, 3, 1], 3), (8, [5, 3, 1, 6, 4, 2], 3), (0, [1, 2, 3, 4, 5, 6], 2),
    (9, [1, 2, 3, 4, 5, 6], 2),
  ])
  func orientations(_ orientation: Int, _ stored: [UInt8], _ width: Int) throws {
    let image = try RGBImage(
      width: width, height: 6 / width, pixels: stored.flatMap { [$0, 0, 0] })
    let upright = image.oriented(exif: orientation)
    #expect(upright.width == 2)
    #expect(stride(from: 0, to: 18, by: 3).map { upright.pixels[$0] } == [1, 2, 3, 4, 5, 6])
  }

  @Test func bestOrders() {
    #expect(best(2, of: [0.1, 0.7, 0.2]).map(\.index) == [1, 2])
    #expect(best(5, of: [0.5, 0.5]).map(\.index) == [0, 1])
    #expect(best(3, of: [.nan, 0.1, .nan]).map(\.index) == [1, 0, 2])
  }

  @Test func softmaxOfLargeScores() {
    let shares = softmax([1000, 1000, -1000])
    #expect(shares == [0.5, 0.5, 0])
  }

  @Test func quantilesAreNumpys() {
    #expect(quantile([4, 1, 3, 2], 0.5) == 2.5)
    #expect(quantile([4, 1, 3, 2], 0.1) == 1.3)
    #expect(quantile([7], 0.9) == 7)
  }
}
