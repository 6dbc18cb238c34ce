#include "code_sum.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

namespace qcnn {
namespace {

uint64_t sum_plain(const uint8_t* bytes, int64_t size) {
  uint64_t sum = 0;
  for (int64_t i = 0; i < size; i += 256) {
    uint32_t part = 0;  // a loop that compilers vectorise
    for (int64_t j = i; j < i + 256; ++j) part += bytes[j];
    sum += part;
  }
  return sum;
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx512f,avx512bw"))) uint64_t sum_avx512(const uint8_t* bytes, int64_t size,
                                                                int64_t ahead) {
  const __m512i zero = _mm512_setzero_si512();
  __m512i sum[4] = {zero, zero, zero, zero};
  for (int64_t i = 0; i < size; i += 256) {
    for (int j = 0; j < 4; ++j) {
      const uint8_t* at = bytes + i + 64 * j;
      if (ahead > 0) _mm_prefetch(reinterpret_cast<const char*>(at + ahead), _MM_HINT_T0);
      sum[j] = _mm512_add_epi64(sum[j], _mm512_sad_epu8(_mm512_loadu_si512(at), zero));
    }
  }
  alignas(64) uint64_t parts[8];
  _mm512_store_si512(
      parts, _mm512_add_epi64(_mm512_add_epi64(sum[0], sum[1]), _mm512_add_epi64(sum[2], sum[3])));
  uint64_t total = 0;
  for (uint64_t part : parts) total += part;
  return total;
}

__attribute__((target("avx2"))) uint64_t sum_avx2(const uint8_t* bytes, int64_t size,
                                                  int64_t ahead) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i sum[4] = {zero, zero, zero, zero};
  for (int64_t i = 0; i < size; i += 128) {
    for (int j = 0; j < 4; ++j) {
      const uint8_t* at = bytes + i + 32 * j;
      if (ahead > 0 && j % 2 == 0) {
        _mm_prefetch(reinterpret_cast<const char*>(at + ahead), _MM_HINT_T0);
      }
      const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
      sum[j] = _mm256_add_epi64(sum[j], _mm256_sad_epu8(v, zero));
    }
  }
  alignas(32) uint64_t parts[4];
  _mm256_store_si256(
      reinterpret_cast<__m256i*>(parts),
      _mm256_add_epi64(_mm256_add_epi64(sum[0], sum[1]), _mm256_add_epi64(sum[2], sum[3])));
  return parts[0] + parts[1] + parts[2] + parts[3];
}

bool has_avx512() { return __builtin_cpu_supports("avx512bw") != 0; }
bool has_avx2() { return __builtin_cpu_supports("avx2") != 0; }
#endif

}  // namespace

uint64_t code_sum(const uint8_t* bytes, int64_t size, int64_t ahead) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (has_avx512()) return sum_avx512(bytes, size, ahead);
  if (has_avx2()) return sum_avx2(bytes, size, ahead);
#endif
  (void)ahead;
  return sum_plain(bytes, size);
}

const char* code_sum_registers() {
#if defined(__x86_64__) && defined(__GNUC__)
  if (has_avx512()) return "AVX-512";
  if (has_avx2()) return "AVX2";
#endif
  return "those of the compiler's target";
}

}  // namespace qcnn
