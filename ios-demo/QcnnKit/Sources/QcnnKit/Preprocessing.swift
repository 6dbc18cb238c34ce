/// How an image becomes a network's input: x = (pixel * scale - mean) / std, as the model's metadata
/// say.
///
/// The same as `Preprocessing` of the Python package, from one RGB image within 1 of 255 in every
/// pixel.
public struct Preprocessing: Equatable, Sendable {
  /// No network takes more, and a hostile model shall not ask for the memory.
  public static let mostSide = 16384
  static let mostPixels = 64 << 20

  public struct Size: Equatable, Sendable, CustomStringConvertible {
    public let height: Int
    public let width: Int

    public init(height: Int, width: Int) {
      self.height = height
      self.width = width
    }

    public var description: String { "\(height) x \(width)" }
  }

  public enum Resize: String, Sendable, CaseIterable {
    /// Ignores the aspect ratio.
    case squash
    /// Keeps it: the image just covers the size, the longer side is rounded down.
    case shorterSide = "shorter_side"
    /// Images must have the size.
    case none
  }

  public enum Channels: String, Sendable, CaseIterable {
    case rgb = "RGB"
    case bgr = "BGR"
    /// ITU-R 601-2 luma.
    case gray = "GRAY"

    public var count: Int { self == .gray ? 1 : 3 }
  }

  /// What the image is resized to.
  public let size: Size
  /// What is cut out at offset (resized - crop) div 2.
  public let crop: Size
  public let resize: Resize
  public let channels: Channels
  public let scale: Float
  /// One value a channel; without effect where there is a mean image.
  public let mean: [Float]
  public let std: [Float]
  /// Shape (height, width, channels) of `size`, channels in the order of `channels`.
  public let meanImage: [Float]?

  /// Whether an image has the size where it must have one.
  func takes(_ image: RGBImage) -> Bool {
    resize != .none || (image.height == size.height && image.width == size.width)
  }

  /// - Throws: `QcnnError` if these contradict each other or are out of range.
  public init(
    size: Size, crop: Size? = nil, resize: Resize = .squash, channels: Channels = .rgb,
    scale: Float = 1, mean: [Float]? = nil, std: [Float]? = nil, meanImage: [Float]? = nil
  ) throws {
    func bad(_ sentence: String) -> QcnnError { QcnnError(.badMetadata, sentence) }
    let count = channels.count
    let crop = crop ?? size
    let mean = mean ?? [Float](repeating: 0, count: count)
    let std = std ?? [Float](repeating: 1, count: count)
    for side in [size.height, size.width, crop.height, crop.width]
    where !(1...Self.mostSide).contains(side) {
      throw bad("expected sides from 1 to \(Self.mostSide), got \(side)")
    }
    guard crop.height <= size.height, crop.width <= size.width else {
      throw bad("crop \(crop) is larger than size \(size)")
    }
    guard size.height * size.width <= Self.mostPixels else {
      throw bad("size \(size) is too large")
    }
    guard mean.count == count, std.count == count, mean.allSatisfy(\.isFinite),
      std.allSatisfy(\.isFinite), scale.isFinite
    else { throw bad("expected \(count) finite numbers in mean and std, got \(mean) and \(std)") }
    guard scale != 0, !std.contains(0) else { throw bad("std and scale must not be 0") }
    if let meanImage {
      guard meanImage.count == size.height * size.width * count,
        meanImage.allSatisfy(\.isFinite)
      else { throw bad("the mean image does not have size \(size), or is not finite") }
      guard resize != .shorterSide else {
        throw bad("a mean image needs images of one size, \"shorter_side\" does not give them")
      }
    }
    self.size = size
    self.crop = crop
    self.resize = resize
    self.channels = channels
    self.scale = scale
    self.mean = mean
    self.std = std
    self.meanImage = meanImage
  }

  /// Shape of the network's input: 1, height, width, channels.
  public var inputShape: [Int] { [1, crop.height, crop.width, channels.count] }

  /// The network's input for an image.
  ///
  /// - Throws: `QcnnError` if the image has the wrong size for `Resize.none`, or is too oblong.
  public func values(of image: RGBImage) throws -> [Float] {
    let pixels = try pixels(of: image)
    let count = channels.count
    let top = (size.height - crop.height) / 2
    let left = (size.width - crop.width) / 2
    let width = crop.width * count
    return [Float](unsafeUninitializedCapacity: pixels.count) { target, written in
      var at = 0
      for y in 0..<crop.height {
        let row = ((top + y) * size.width + left) * count
        for x in 0..<width {
          let channel = x % count
          let subtract = meanImage.map { $0[row + x] } ?? mean[channel]
          target[at] = (Float(pixels[at]) * scale - subtract) / std[channel]
          at += 1
        }
      }
      written = at
    }
  }

  /// The resized and cropped pixels: rows from the top, channels in the network's order.
  ///
  /// - Throws: as `values(of:)`.
  public func pixels(of image: RGBImage) throws -> [UInt8] {
    let count = channels.count
    let target = try target(for: image)
    let resized = Resampling.resize(
      channels == .gray ? Self.luma(image.pixels) : image.pixels, channels: count,
      width: image.width, height: image.height, outWidth: target.width, outHeight: target.height)
    let top = (target.height - crop.height) / 2
    let left = (target.width - crop.width) / 2
    var pixels: [UInt8] = []
    pixels.reserveCapacity(crop.height * crop.width * count)
    for y in 0..<crop.height {
      let from = ((top + y) * target.width + left) * count
      pixels += resized[from..<(from + crop.width * count)]
    }
    if channels == .bgr {
      for i in stride(from: 0, to: pixels.count, by: 3) { pixels.swapAt(i, i + 2) }
    }
    return pixels
  }

  private func target(for image: RGBImage) throws -> Size {
    switch resize {
    case .squash:
      return size
    case .none:
      guard image.height == size.height, image.width == size.width else {
        throw QcnnError(
          .badImage,
          "the image has \(image.width)x\(image.height) pixels; this model does not resize, it takes "
            + "\(size.width)x\(size.height)")
      }
      return size
    case .shorterSide:
      let wide = image.width * size.height >= image.height * size.width
      let height = wide ? size.height : image.height * size.width / image.width
      let width = wide ? image.width * size.height / image.height : size.width
      guard height * width <= Self.mostPixels else {
        throw QcnnError(
          .badImage,
          "\(image.width)x\(image.height) pixels are too oblong to resize to \(width)x\(height)")
      }
      return Size(height: height, width: width)
    }
  }

  private static func luma(_ rgb: [UInt8]) -> [UInt8] {
    let count = rgb.count / 3
    return [UInt8](unsafeUninitializedCapacity: count) { target, written in
      for i in 0..<count {
        let red = UInt32(rgb[3 * i]) * 19595
        let green = UInt32(rgb[3 * i + 1]) * 38470
        let blue = UInt32(rgb[3 * i + 2]) * 7471
        target[i] = UInt8((red + green + blue + 0x8000) >> 16)
      }
      written = count
    }
  }
}
