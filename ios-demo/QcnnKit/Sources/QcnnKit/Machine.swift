import Foundation

/// What a measurement ran on: the object `machine` of a result, and how many threads make sense.
public struct Machine: Sendable {
  public let cpu: String
  public let cpus: Int
  public let instructionSet: String
  public let features: [String]
  public let system: String

  public init(cpu: String, cpus: Int, instructionSet: String, features: [String], system: String) {
    self.cpu = cpu
    self.cpus = cpus
    self.instructionSet = instructionSet
    self.features = features
    self.system = system
  }

  // From best to least, as in the Python package.
  private static let instructionSets: [(String, Set<String>)] = [
    ("AVX-512 VNNI", ["avx512f", "avx512bw", "avx512_vnni"]),
    ("AVX-512", ["avx512f", "avx512bw"]),
    ("AVX2", ["avx2", "fma"]),
    ("SSE4.2", ["sse4_2"]),
    ("NEON dotprod", ["asimd", "asimddp"]),
    ("NEON", ["asimd"]),
  ]
  private static let more: Set<String> = ["avx512_vbmi", "avx_vnni", "i8mm", "sve"]

  /// This device.
  public static func describe() -> Machine {
    #if arch(arm64)
      let architecture = "arm64"
    #else
      let architecture = "x86_64"
    #endif
    let features = cpuFeatures()
    let wanted = instructionSets.reduce(into: more) { $0.formUnion($1.1) }
    let version = ProcessInfo.processInfo.operatingSystemVersion
    #if os(iOS)
      let system = "iOS"
    #elseif os(macOS)
      let system = "macOS"
    #else
      let system = "Linux"
    #endif
    return Machine(
      cpu: cpuName() ?? architecture,
      cpus: ProcessInfo.processInfo.activeProcessorCount,
      instructionSet: instructionSets.first { $0.1.isSubset(of: features) }?.0 ?? architecture,
      features: features.intersection(wanted).sorted(),
      system:
        "\(system) \(version.majorVersion).\(version.minorVersion).\(version.patchVersion) \(architecture)"
    )
  }

  /// Cores of the fastest kind; all where there is one kind.
  public static var bigCores: Int {
    #if canImport(Darwin)
      if let count = number("hw.perflevel0.physicalcpu"), count > 0 { return Int(count) }
    #endif
    return ProcessInfo.processInfo.activeProcessorCount
  }

  /// Bytes of the heap that are in use; what a model holds besides its file is told by the difference.
  public static var heapBytes: Int {
    #if canImport(Darwin)
      var statistics = malloc_statistics_t()
      malloc_zone_statistics(nil, &statistics)
      return Int(statistics.size_in_use)
    #else
      // Data pages, for the tests: Glibc's mallinfo2 is not in Swift's module.
      let statm = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
      let pages = statm.split(separator: " ").compactMap { Int($0) }
      return pages.count > 5 ? pages[5] * 4096 : 0
    #endif
  }

  #if canImport(Darwin)
    private static func number(_ name: String) -> Int64? {
      var value: Int64 = 0
      var size = MemoryLayout<Int64>.size
      // Some are 32 bits wide: the value is zero before, and the byte order little.
      return sysctlbyname(name, &value, &size, nil, 0) == 0 ? value : nil
    }

    private static func cpuName() -> String? {
      for name in ["hw.machine", "hw.model"] {
        var size = 0
        guard sysctlbyname(name, nil, &size, nil, 0) == 0, size > 1 else { continue }
        var text = [CChar](repeating: 0, count: size)
        guard sysctlbyname(name, &text, &size, nil, 0) == 0 else { continue }
        return String(cString: text)
      }
      return nil
    }

    private static func cpuFeatures() -> Set<String> {
      #if arch(arm64)
        var features: Set<String> = ["asimd"]
        if number("hw.optional.arm.FEAT_DotProd") == 1 { features.insert("asimddp") }
        if number("hw.optional.arm.FEAT_I8MM") == 1 { features.insert("i8mm") }
        return features
      #else
        return number("hw.optional.avx2_0") == 1 ? ["avx2", "fma", "sse4_2"] : ["sse4_2"]
      #endif
    }
  #else
    private static func cpuinfo(_ key: String) -> String? {
      guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8) else {
        return nil
      }
      for line in text.split(separator: "\n") {
        let parts = line.split(separator: ":", maxSplits: 1)
        if parts.count == 2, parts[0].trimmingCharacters(in: .whitespaces) == key {
          return parts[1].trimmingCharacters(in: .whitespaces)
        }
      }
      return nil
    }

    private static func cpuName() -> String? { cpuinfo("model name") }

    private static func cpuFeatures() -> Set<String> {
      Set((cpuinfo("flags") ?? cpuinfo("Features") ?? "").split(separator: " ").map(String.init))
    }
  #endif
}
