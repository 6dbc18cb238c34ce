import QcnnKit
import SwiftUI

/// The top answer large, the top five as bars, what they took, and whose answer it is.
struct AnswerView: View {
  let answer: Answer
  let times: MedianTimes
  let model: String
  @Environment(\.accessibilityReduceMotion) private var reduceMotion

  var body: some View {
    VStack(alignment: .leading, spacing: 8) {
      if let first = answer.top.first {
        Text(verbatim: first.label)
          .font(.title)
          .accessibilityLabel(text(.answerPercent, first.label, percent(Double(first.probability))))
          .accessibilityIdentifier("answer")
      }
      VStack(alignment: .leading, spacing: 4) {
        ForEach(answer.top) { row in
          VStack(alignment: .leading, spacing: 2) {
            HStack {
              Text(verbatim: row.label)
              Spacer()
              Text(verbatim: percent(Double(row.probability)))
                .monospacedDigit()
                .foregroundStyle(.secondary)
            }
            ProgressView(value: Double(max(0, min(1, row.probability))))
              .animation(reduceMotion ? nil : .default, value: row.probability)
          }
          .accessibilityElement(children: .ignore)
          .accessibilityLabel(text(.answerPercent, row.label, percent(Double(row.probability))))
        }
      }
      .accessibilityElement(children: .contain)
      .accessibilityLabel(text(.answerList, answer.top.first?.label ?? ""))
      TimesView(times: times)
      Text(verbatim: model)
        .font(.footnote)
        .foregroundStyle(.secondary)
    }
    .frame(maxWidth: .infinity, alignment: .leading)
  }
}

/// Prepare, inference and total; one below the other where the letters are large.
struct TimesView: View {
  let times: MedianTimes

  var body: some View {
    ViewThatFits(in: .horizontal) {
      HStack { rows }
      VStack(alignment: .leading) { rows }
    }
    .font(.footnote)
    .foregroundStyle(.secondary)
  }

  @ViewBuilder private var rows: some View {
    row(.timePrepare, times.prepareMs)
    row(.timeInference, times.inferenceMs)
    row(.timeTotal, times.totalMs)
  }

  private func row(_ word: Word, _ ms: Double?) -> some View {
    HStack(spacing: 4) {
      Text(verbatim: text(word))
      Text(verbatim: milliseconds(ms)).monospacedDigit()
    }
    .accessibilityElement(children: .combine)
  }
}

/// A turning wheel with words.
struct BusyView: View {
  let words: String

  var body: some View {
    HStack {
      ProgressView()
      Text(verbatim: words)
    }
    .accessibilityElement(children: .combine)
  }
}
