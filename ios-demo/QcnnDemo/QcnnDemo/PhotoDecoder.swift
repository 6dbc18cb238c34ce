import CoreGraphics
import Foundation
import ImageIO
import QcnnKit

/// The platform decodes, and nothing else: scaling and everything after is QcnnKit's, the same on every
/// host.
enum PhotoDecoder {
  /// The first image of a file: sRGB, over white, upright.
  @Sendable static func decode(_ data: Data) throws -> RGBImage {
    guard let source = CGImageSourceCreateWithData(data as CFData, nil),
      let properties = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [CFString: Any],
      let width = properties[kCGImagePropertyPixelWidth] as? Int,
      let height = properties[kCGImagePropertyPixelHeight] as? Int
    else { throw QcnnError(.badImage, "the file is no image that this device knows") }
    // Before anything is decoded: a small file can hold a huge image.
    guard width > 0, height > 0, width <= RGBImage.mostPixels / height else {
      throw QcnnError(.badImage, "an image of \(width) x \(height) pixels cannot be read")
    }
    guard let image = CGImageSourceCreateImageAtIndex(source, 0, nil),
      let space = CGColorSpace(name: CGColorSpace.sRGB),
      let context = CGContext(
        data: nil, width: width, height: height, bitsPerComponent: 8, bytesPerRow: 0, space: space,
        bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue),
      let bytes = context.data
    else { throw QcnnError(.badImage, "the image cannot be decoded") }
    let whole = CGRect(x: 0, y: 0, width: width, height: height)
    context.setFillColor(CGColor(red: 1, green: 1, blue: 1, alpha: 1))
    context.fill(whole)
    context.draw(image, in: whole)
    let rgb = try RGBImage(
      .rgbx, bytes: UnsafeRawBufferPointer(start: bytes, count: context.bytesPerRow * height),
      width: width, height: height, bytesPerRow: context.bytesPerRow)
    return rgb.oriented(exif: properties[kCGImagePropertyOrientation] as? Int ?? 1)
  }
}
