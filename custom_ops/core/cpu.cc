#include "core/cpu.h"

#include <algorithm>
#include <cstdio>

#if defined(__x86_64__) || defined(_M_X64)
#if defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif
#if defined(__linux__) && (defined(__aarch64__) || defined(__arm__))
#include <sys/auxv.h>
#endif
#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace qcnn {
namespace {

#if defined(__x86_64__) || defined(_M_X64)
struct X86 {
  bool avx2 = false, avx512 = false, vnni = false;
};

void cpuid(uint32_t leaf, uint32_t sub, uint32_t* regs) {
#if defined(_MSC_VER)
  __cpuidex(reinterpret_cast<int*>(regs), static_cast<int>(leaf), static_cast<int>(sub));
#else
  __cpuid_count(leaf, sub, regs[0], regs[1], regs[2], regs[3]);
#endif
}

uint64_t saved_registers() {
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
#endif
}

X86 detect() {
  X86 found;
  uint32_t r[4];  // eax, ebx, ecx, edx
  cpuid(0, 0, r);
  if (r[0] < 7) return found;
  cpuid(1, 0, r);
  const auto bit = [](uint32_t word, int n) { return (word >> n & 1u) != 0; };
  if (!bit(r[2], 27)) return found;  // OSXSAVE
  const bool fma = bit(r[2], 12), f16c = bit(r[2], 29), avx = bit(r[2], 28);
  const uint64_t saved = saved_registers();
  cpuid(7, 0, r);
  found.avx2 = avx && fma && f16c && bit(r[1], 5) && (saved & 0x6) == 0x6;
  found.avx512 = found.avx2 && (saved & 0xe6) == 0xe6 && bit(r[1], 16) && bit(r[1], 17) &&
                 bit(r[1], 30) && bit(r[1], 31);
  found.vnni = found.avx512 && bit(r[2], 1) && bit(r[2], 11);
  return found;
}

const X86& x86() {
  static const X86 found = detect();
  return found;
}
#endif

#if defined(__linux__)
// Bytes of a cache of the first processor, or 0.
int64_t linux_cache(int level) {
  for (int index = 0; index < 6; ++index) {
    char path[96], type[16] = "", unit = 0;
    int found = 0;
    long long size = 0;
    const auto read = [&](const char* what, const char* format, auto*... out) {
      std::snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index,
                    what);
      std::FILE* file = std::fopen(path, "r");
      if (file == nullptr) return false;
      const int count = std::fscanf(file, format, out...);
      std::fclose(file);
      return count == static_cast<int>(sizeof...(out));
    };
    if (!read("level", "%d", &found) || found != level) continue;
    if (!read("type", "%15s", type) || type[0] == 'I') continue;
    if (!read("size", "%lld%c", &size, &unit)) continue;
    return unit == 'K' ? size << 10 : unit == 'M' ? size << 20 : size;
  }
  return 0;
}
#endif

Caches detect_caches() {
  Caches found;
  int64_t l1 = 0, l2 = 0;
#if defined(__linux__)
  l1 = linux_cache(1);
  l2 = linux_cache(2);
#elif defined(__APPLE__)
  size_t size = sizeof(l1);
  // Of the efficient cores where there are two kinds: work may be moved to them.
  if (sysctlbyname("hw.perflevel1.l1dcachesize", &l1, &size, nullptr, 0) != 0) {
    size = sizeof(l1);
    sysctlbyname("hw.l1dcachesize", &l1, &size, nullptr, 0);
  }
  size = sizeof(l2);
  sysctlbyname("hw.l2cachesize", &l2, &size, nullptr, 0);
  l2 /= 4;  // shared by a cluster
#endif
  // Beyond these a system tells nonsense, or the cache is shared.
  if (l1 >= (8 << 10)) found.l1 = std::min<int64_t>(l1, 256 << 10);
  if (l2 >= (64 << 10)) found.l2 = std::min<int64_t>(l2, 2 << 20);
  return found;
}

}  // namespace

#if defined(__x86_64__) || defined(_M_X64)
bool cpu_has_avx2() { return x86().avx2; }
bool cpu_has_avx512() { return x86().avx512; }
bool cpu_has_avx512_vnni() { return x86().vnni; }
#else
bool cpu_has_avx2() { return false; }
bool cpu_has_avx512() { return false; }
bool cpu_has_avx512_vnni() { return false; }
#endif

#if defined(__aarch64__) || defined(_M_ARM64)
bool cpu_has_neon() { return true; }
#elif defined(__arm__) && defined(__linux__)
bool cpu_has_neon() { return (getauxval(AT_HWCAP) & (1ul << 12)) != 0; }
#else
bool cpu_has_neon() { return false; }
#endif

#if defined(__aarch64__) && defined(__APPLE__)
bool cpu_has_neon_dotprod() {
  int dot = 0, half = 0;
  size_t size = sizeof(dot);
  if (sysctlbyname("hw.optional.arm.FEAT_DotProd", &dot, &size, nullptr, 0) != 0) return false;
  size = sizeof(half);
  if (sysctlbyname("hw.optional.arm.FEAT_FP16", &half, &size, nullptr, 0) != 0) return false;
  return dot != 0 && half != 0;
}
#elif defined(__aarch64__) && defined(__linux__)
bool cpu_has_neon_dotprod() {
  constexpr unsigned long kBoth = 1ul << 20 | 1ul << 10;  // asimddp, asimdhp
  return (getauxval(AT_HWCAP) & kBoth) == kBoth;
}
#else
bool cpu_has_neon_dotprod() { return false; }
#endif

const Caches& caches() {
  static const Caches found = detect_caches();
  return found;
}

}  // namespace qcnn
