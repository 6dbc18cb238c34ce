import QcnnKit
import SwiftUI

struct BenchmarkView: View {
  let app: AppModel
  @ObservedObject var benchmark: Observed<BenchmarkModel>
  @ObservedObject var engine: Observed<EngineModel>

  var body: some View {
    ScrollView {
      VStack(alignment: .leading, spacing: 16) {
        Text(verbatim: text(.benchmarkIntro, Benchmark().runs))
        Text(verbatim: setting).foregroundStyle(.secondary)
        content
      }
      .frame(maxWidth: .infinity, alignment: .leading)
      .padding()
    }
    .onDisappear { benchmark.model.cancel() }
  }

  private var setting: String {
    let setting = benchmark.model.setting ?? engine.model.setting
    return text(
      .benchmarkSetting, engine.model.selected?.name ?? "", text(.threads, setting.threads),
      setting.kernel ?? Kernel.selected)
  }

  @ViewBuilder private var content: some View {
    switch benchmark.model.state {
    case .idle:
      runButton
    case .running(let done, let total):
      ProgressView(value: Double(done), total: Double(max(1, total)))
      Text(verbatim: text(.benchmarkRunning, done, total)).monospacedDigit()
      Button(text(.benchmarkCancel)) { benchmark.model.cancel() }
    case .failed(let failure):
      FailureView(failure: failure) { action in app.perform(action) }
    case .finished(let outcome):
      ResultView(outcome: outcome)
      export
      runButton
    }
  }

  private var runButton: some View {
    Button(text(.benchmarkRun)) { benchmark.model.run() }
      .buttonStyle(.borderedProminent)
      .accessibilityIdentifier("run-benchmark")
  }

  @ViewBuilder private var export: some View {
    if let url = benchmark.model.exported {
      ShareLink(item: url) { Label(text(.benchmarkExport), systemImage: "square.and.arrow.up") }
    } else {
      Button(text(.benchmarkExport)) { benchmark.model.export() }
        .onAppear { benchmark.model.export() }
      if benchmark.model.exportFailed {
        Text(verbatim: text(.benchmarkExportFailed))
      }
    }
  }
}

/// What was measured: one row a quantity, one column a model.
private struct ResultView: View {
  let outcome: Benchmark.Outcome

  var body: some View {
    VStack(alignment: .leading, spacing: 12) {
      if let headline { Text(verbatim: headline).font(.headline) }
      ForEach(outcome.measurements, id: \.name) { measured in
        VStack(alignment: .leading, spacing: 4) {
          Text(verbatim: text(measured.variant == "q" ? .benchmarkQ : .benchmarkFloat))
            .font(.headline)
            .accessibilityAddTraits(.isHeader)
          row(.benchmarkMedian, benchmarked(measured.medianMs))
          row(.benchmarkP90, benchmarked(measured.p90Ms))
          row(.benchmarkFile, size(measured.fileBytes))
          row(
            .benchmarkMemory,
            size(max(measured.heapBytes, measured.packedBytes + measured.scratchBytes)))
        }
      }
      if let agreement = outcome.agreement {
        row(
          .benchmarkAgreement,
          text(.benchmarkAgreementValue, percent(agreement), outcome.images))
      } else {
        Text(verbatim: text(.benchmarkNoFloat))
      }
    }
  }

  private func row(_ word: Word, _ value: String) -> some View {
    HStack {
      Text(verbatim: text(word))
      Spacer()
      Text(verbatim: value).monospacedDigit()
    }
    .accessibilityElement(children: .combine)
  }

  private var headline: String? {
    guard outcome.measurements.count == 2 else { return nil }
    let (q, float) = (outcome.measurements[0], outcome.measurements[1])
    let speed = float.medianMs / q.medianMs
    let smaller = Double(float.fileBytes) / Double(q.fileBytes)
    func ratio(_ value: Double) -> String {
      value.formatted(.number.precision(.fractionLength(1)))
    }
    return text(
      speed >= 1 ? .benchmarkFaster : .benchmarkSlower, ratio(max(speed, 1 / speed)),
      ratio(smaller))
  }
}
