import Foundation

/// Times models in turn, so that a device that slows down slows all of them.
public struct Benchmark: Sendable {
  /// Timed runs of each model, after `warmUp` others.
  public let runs: Int
  public let warmUp: Int

  public init(runs: Int = 30, warmUp: Int = 5) {
    self.runs = runs
    self.warmUp = warmUp
  }

  /// A model to time.
  public struct Subject: Sendable {
    public let name: String
    public let file: ModelFile
    /// Makes its classifier; timed, too.
    public let open: @Sendable () throws -> Classifier

    public init(name: String, file: ModelFile, open: @escaping @Sendable () throws -> Classifier) {
      self.name = name
      self.file = file
      self.open = open
    }
  }

  /// What was measured of one model.
  public struct Measurement: Sendable, Equatable {
    public let name: String
    /// "q" or "float".
    public let variant: String
    public let samplesMs: [Double]
    public let loadMs: Double
    public let fileBytes: Int
    /// After deflate; nil where the system has none.
    public let zippedBytes: Int?
    public let packedBytes: Int
    public let scratchBytes: Int
    /// Of the heap, besides the file.
    public let heapBytes: Int
    /// Of ours; nil where none ran.
    public let kernel: String?
    /// "ours" or "stock"; nil in networks without local response normalization.
    public let lrn: String?

    public init(
      name: String, variant: String, samplesMs: [Double], loadMs: Double, fileBytes: Int,
      zippedBytes: Int?, packedBytes: Int = 0, scratchBytes: Int = 0, heapBytes: Int = 0,
      kernel: String?, lrn: String?
    ) {
      self.name = name
      self.variant = variant
      self.samplesMs = samplesMs
      self.loadMs = loadMs
      self.fileBytes = fileBytes
      self.zippedBytes = zippedBytes
      self.packedBytes = packedBytes
      self.scratchBytes = scratchBytes
      self.heapBytes = heapBytes
      self.kernel = kernel
      self.lrn = lrn
    }

    public var medianMs: Double { quantile(samplesMs, 0.5) }
    public var p90Ms: Double { quantile(samplesMs, 0.9) }
  }

  public struct Outcome: Sendable, Equatable {
    public let measurements: [Measurement]
    /// Share of the images whose first class in the float model is among the first's five.
    public let agreement: Double?
    public let images: Int

    public init(measurements: [Measurement], agreement: Double?, images: Int) {
      self.measurements = measurements
      self.agreement = agreement
      self.images = images
    }
  }

  /// Measures.
  ///
  /// - Parameters:
  ///   - subjects: the quantized model first, then its float twin if there is one.
  ///   - images: to compare answers on; the first is also what is timed.
  ///   - progress: is told how many of how many runs are done; false stops.
  /// - Returns: nil if it was stopped.
  /// - Throws: `QcnnError`
  public func run(
    _ subjects: [Subject], images: [RGBImage],
    progress: (_ done: Int, _ of: Int) -> Bool = { _, _ in true }
  ) throws -> Outcome? {
    guard let image = images.first else {
      throw QcnnError(.badImage, "a benchmark needs an image")
    }
    let clock = ContinuousClock()
    var opened: [(classifier: Classifier, loadMs: Double, packed: Int, scratch: Int, heap: Int)] =
      []
    for subject in subjects {
      let before = Libraries.memory
      let heap = Machine.heapBytes
      let started = clock.now
      let classifier = try subject.open()
      let loadMs = (clock.now - started).milliseconds
      _ = try classifier.classify(image)
      let after = Libraries.memory
      opened.append(
        (
          classifier, loadMs, after.packed - before.packed, after.scratch - before.scratch,
          max(0, Machine.heapBytes - heap)
        ))
    }
    var samples = [[Double]](repeating: [], count: opened.count)
    let total = (warmUp + runs) * opened.count
    var done = 0
    for round in 0..<(warmUp + runs) {
      for (i, subject) in opened.enumerated() {
        let ms = try subject.classifier.run()
        if round >= warmUp { samples[i].append(ms) }
        done += 1
        if !progress(done, total) { return nil }
      }
    }
    var agreement: Double?
    if opened.count == 2 {
      let agreeing = try images.filter { image in
        let first = try opened[1].classifier.classify(image, top: 1).top[0].index
        return try opened[0].classifier.classify(image).top.contains { $0.index == first }
      }
      agreement = Double(agreeing.count) / Double(images.count)
    }
    let measurements = zip(zip(subjects, opened), samples).map { pair, samples in
      let (subject, open) = pair
      let info = open.classifier.info
      let ours = open.classifier.kernel != nil
      return Measurement(
        name: subject.name, variant: info.isQuantized ? "q" : "float", samplesMs: samples,
        loadMs: open.loadMs, fileBytes: subject.file.count, zippedBytes: subject.file.zippedCount,
        packedBytes: open.packed, scratchBytes: open.scratch, heapBytes: open.heap,
        kernel: open.classifier.kernel, lrn: info.lrn == 0 ? nil : ours ? "ours" : "stock")
    }
    return Outcome(measurements: measurements, agreement: agreement, images: images.count)
  }
}

/// Interpolated linearly, as numpy's default.
public func quantile(_ values: [Double], _ share: Double) -> Double {
  guard !values.isEmpty else { return .nan }
  let sorted = values.sorted()
  let at = share * Double(sorted.count - 1)
  let below = Int(at)
  let above = min(below + 1, sorted.count - 1)
  return sorted[below] + (at - Double(below)) * (sorted[above] - sorted[below])
}
