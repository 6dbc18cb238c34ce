import Foundation
import QcnnKit

/// A text of the string catalog in the person's language.
func text(_ word: Word, _ arguments: any CVarArg...) -> String {
  let format = NSLocalizedString(word.rawValue, comment: "")
  return arguments.isEmpty
    ? format : String(format: format, locale: Locale.current, arguments: arguments)
}

func percent(_ share: Double) -> String {
  share.formatted(.percent.precision(.fractionLength(1)))
}

/// Of one answer, or of a few frames.
func milliseconds(_ ms: Double?, digits: Int = 1) -> String {
  guard let ms else { return text(.timeNone) }
  return text(.timeMs, ms.formatted(.number.precision(.fractionLength(digits))))
}

/// Of a benchmark: three figures or a little more, so many are measured.
func benchmarked(_ ms: Double) -> String {
  milliseconds(ms, digits: ms < 10 ? 2 : ms < 100 ? 1 : 0)
}

func size(_ bytes: Int) -> String {
  ByteCountFormatter.string(fromByteCount: Int64(bytes), countStyle: .file)
}
