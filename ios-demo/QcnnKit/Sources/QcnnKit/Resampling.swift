/// Pillow's `Image.BILINEAR`, bit for bit: a triangle filter whose support widens by max(1, in/out),
/// rows first, fixed-point weights of 22 bits, rounded to 8 bits after each pass.
///
/// Platforms scale without widening the filter, so a large photo would reach the network with other
/// pixels than in training.
enum Resampling {
  private static let bits = 22

  /// Scales an image.
  ///
  /// - Parameters:
  ///   - pixels: rows from the top, `channels` bytes a pixel.
  /// - Returns: `outWidth` x `outHeight`; `pixels` itself where nothing changes.
  static func resize(
    _ pixels: [UInt8], channels: Int, width: Int, height: Int, outWidth: Int, outHeight: Int
  ) -> [UInt8] {
    var current = pixels
    if outWidth != width {
      current = horizontal(
        current, channels: channels, width: width, height: height,
        Weights(from: width, to: outWidth))
    }
    if outHeight != height {
      current = vertical(
        current, stride: outWidth * channels, Weights(from: height, to: outHeight))
    }
    return current
  }

  private static func horizontal(
    _ source: [UInt8], channels: Int, width: Int, height: Int, _ columns: Weights
  ) -> [UInt8] {
    let outWidth = columns.first.count
    let total = outWidth * height * channels
    return [UInt8](unsafeUninitializedCapacity: total) { target, written in
      source.withUnsafeBufferPointer { source in
        columns.weights.withUnsafeBufferPointer { weights in
          var to = 0
          for y in 0..<height {
            let row = y * width * channels
            for x in 0..<outWidth {
              let first = columns.first[x]
              let count = columns.count[x]
              let w = x * columns.most
              for channel in 0..<channels {
                var sum = Int32(1) << (bits - 1)
                var at = row + first * channels + channel
                for i in 0..<count {
                  sum &+= Int32(source[at]) &* weights[w + i]
                  at += channels
                }
                target[to] = clip(sum)
                to += 1
              }
            }
          }
        }
      }
      written = total
    }
  }

  private static func vertical(_ source: [UInt8], stride: Int, _ rows: Weights) -> [UInt8] {
    let outHeight = rows.first.count
    let total = stride * outHeight
    return [UInt8](unsafeUninitializedCapacity: total) { target, written in
      source.withUnsafeBufferPointer { source in
        rows.weights.withUnsafeBufferPointer { weights in
          for y in 0..<outHeight {
            let first = rows.first[y] * stride
            let count = rows.count[y]
            let w = y * rows.most
            for x in 0..<stride {
              var sum = Int32(1) << (bits - 1)
              var at = first + x
              for i in 0..<count {
                sum &+= Int32(source[at]) &* weights[w + i]
                at += stride
              }
              target[y * stride + x] = clip(sum)
            }
          }
        }
      }
      written = total
    }
  }

  private static func clip(_ sum: Int32) -> UInt8 { UInt8(max(0, min(255, sum >> Int32(bits)))) }

  /// For each output: the first input that counts, how many do, and their weights.
  private struct Weights {
    let most: Int
    private(set) var first: [Int]
    private(set) var count: [Int]
    private(set) var weights: [Int32]

    init(from inSize: Int, to outSize: Int) {
      let scale = Double(inSize) / Double(outSize)
      let support = max(1, scale)
      most = 2 * Int(support.rounded(.up)) + 1
      first = [Int](repeating: 0, count: outSize)
      count = first
      weights = [Int32](repeating: 0, count: outSize * most)
      var shares = [Double](repeating: 0, count: most)
      for out in 0..<outSize {
        let centre = (Double(out) + 0.5) * scale
        let from = max(0, Int(centre - support + 0.5))
        let to = min(inSize, Int(centre + support + 0.5))
        var total = 0.0
        for i in 0..<(to - from) {
          shares[i] = max(0, 1 - abs((Double(from + i) - centre + 0.5) * (1 / support)))
          total += shares[i]
        }
        for i in 0..<(to - from) {
          weights[out * most + i] = Int32(0.5 + shares[i] / total * Double(1 << bits))
        }
        first[out] = from
        count[out] = to - from
      }
    }
  }
}
