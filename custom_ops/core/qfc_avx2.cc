// Primitives of the fast fully-connected layer in AVX2 and FMA.
//
// A register of bytes holds the codes of 32 outputs. Tables are split into planes of low and high
// bytes: vpshufb looks up 16 entries of one plane, and more entries are chosen from by bit 4 and
// up.
#include "core/fc_ops.h"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

#include <cstring>

namespace qcnn {
namespace {

constexpr int kGroups = kFcBlock / 32;
constexpr int64_t kUnit = 8;  // subspaces packed together

int64_t unit(int64_t) { return kUnit; }

// Bytes of an output's codes: 4 bits each, 5 or 8.
constexpr int64_t code_bytes(int64_t K) { return K <= 16 ? 4 : K <= 32 ? 5 : 8; }

int64_t unit_bytes(int64_t K) { return kFcBlock * code_bytes(K); }

// Packed codes are [groups of 32 outputs][bytes of an output][32].
//
// 4 bits: two subspaces a byte, the even one below. 5 bits: the same of the lower 4, and a byte of
// the fifth bits, the first subspace's on top. 8 bits: a byte each; bits 4 and 5 of 64 codewords
// are shifted to where those of 128 end, so that bit 7 is 0 and doubling moves the top bit into it.
void pack(int64_t K, const uint8_t* codes, unsigned char* packed) {
  const int64_t bytes = code_bytes(K);
  for (int64_t c = 0; c < kFcBlock; ++c) {
    unsigned char* to = packed + c / 32 * 32 * bytes + c % 32;
    unsigned fifth = 0;
    for (int64_t m = 0; m < kUnit; ++m) {
      const unsigned code = codes[m * kFcBlock + c];
      if (K > 64) {
        to[32 * m] = static_cast<unsigned char>(code);
      } else if (K > 32) {
        to[32 * m] = static_cast<unsigned char>((code & 15) | (code & 0x30) << 1);
      } else if (m % 2 == 0) {
        to[16 * m] = static_cast<unsigned char>(code & 15);
      } else {
        to[16 * (m - 1)] = static_cast<unsigned char>(to[16 * (m - 1)] | (code & 15) << 4);
      }
      fifth |= (code >> 4 & 1) << (7 - m);
    }
    if (bytes == 5) to[32 * 4] = static_cast<unsigned char>(fifth);
  }
}

void unpack(int64_t K, const unsigned char* packed, uint8_t* codes) {
  const int64_t bytes = code_bytes(K);
  for (int64_t c = 0; c < kFcBlock; ++c) {
    const unsigned char* from = packed + c / 32 * 32 * bytes + c % 32;
    for (int64_t m = 0; m < kUnit; ++m) {
      unsigned code;
      if (K > 64) {
        code = from[32 * m];
      } else if (K > 32) {
        code = (from[32 * m] & 15) | (from[32 * m] >> 1 & 0x30);
      } else {
        code = from[32 * (m / 2)] >> (m % 2 * 4) & 15;
        if (bytes == 5) code |= (from[32 * 4] >> (7 - m) & 1u) << 4;
      }
      codes[m * kFcBlock + c] = static_cast<uint8_t>(code);
    }
  }
}

inline __m256i load(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

inline void store(void* to, __m256i value) {
  _mm256_storeu_si256(static_cast<__m256i*>(to), value);
}

inline __m256i pair_at(const int16_t* x) {
  int32_t pair;
  std::memcpy(&pair, x, 4);
  return _mm256_set1_epi32(pair);
}

// table: [subspaces][entries / 16][low bytes, high bytes][16].
void build(const FcBuild& b) {
  const __m256i round = _mm256_set1_epi32(0x8000), low_bytes = _mm256_set1_epi16(0xff);
  unsigned char* to = b.table;
  for (int64_t m = 0; m < b.subspaces; ++m) {
    const int16_t* words = b.words + m * b.words_stride;
    const int16_t* x = b.x + m * b.pairs * 2;
    for (int64_t k = 0; k < b.entries; k += 16, to += 32) {
      __m256i first = round, second = round;
      for (int64_t j = 0; j < b.pairs; ++j) {
        const int16_t* from = words + 2 * (j * b.entries + k);
        const __m256i pair = pair_at(x + 2 * j);
        first = _mm256_add_epi32(first, _mm256_madd_epi16(load(from), pair));
        second = _mm256_add_epi32(second, _mm256_madd_epi16(load(from + 16), pair));
      }
      // Each packing takes 128 bits of one operand and 128 bits of the other in turn.
      const __m256i entries = _mm256_permute4x64_epi64(
          _mm256_packs_epi32(_mm256_srai_epi32(first, 16), _mm256_srai_epi32(second, 16)), 0xd8);
      const __m256i bytes =
          _mm256_packus_epi16(_mm256_and_si256(entries, low_bytes), _mm256_srli_epi16(entries, 8));
      store(to, _mm256_permute4x64_epi64(bytes, 0xd8));
    }
  }
}

// Keeps the compiler from evaluating anything but this: GCC would add up other values first, and
// run out of registers.
inline void in_this_order(__m256i* value) {
#if defined(__GNUC__)
  __asm__("" : "+x"(*value));
#else
  (void)value;
#endif
}

// Sums of 32 outputs, modulo 2^16.
struct Sums {
  __m256i low;   // of low bytes, as words: of the even outputs + 256 * those of the odd ones
  __m256i odd;   // of low bytes of the odd outputs
  __m256i high;  // of high bytes

  void add(__m256i low_bytes, __m256i high_bytes) {
    low = _mm256_add_epi16(low, low_bytes);
    odd = _mm256_add_epi16(odd, _mm256_srli_epi16(low_bytes, 8));
    high = _mm256_add_epi8(high, high_bytes);
    in_this_order(&low);
    in_this_order(&odd);
    in_this_order(&high);
  }
};

inline __m256i table_at(const unsigned char* plane) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(plane)));
}

// Twice each byte: moves the next bit into bit 7, where vpblendvb looks.
inline __m256i next_bit(__m256i codes) { return _mm256_add_epi8(codes, codes); }

// b where bit 7 of the mask is set, otherwise a.
inline __m256i choose(__m256i a, __m256i b, __m256i mask) {
#if defined(__GNUC__)
  // GCC 12 makes a comparison and a choice of the intrinsic where a mask is used twice.
  __m256i chosen;
  __asm__("vpblendvb %3, %2, %1, %0" : "=x"(chosen) : "x"(a), "x"(b), "x"(mask));
  return chosen;
#else
  return _mm256_blendv_epi8(a, b, mask);
#endif
}

void add_16(const unsigned char* packed, const unsigned char* table, Sums* sums) {
  const __m256i nibble = _mm256_set1_epi8(15);
  for (int64_t m = 0; m < kUnit; m += 2, table += 64) {
    const __m256i codes = load(packed + 16 * m);
    const __m256i even = _mm256_and_si256(codes, nibble);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi16(codes, 4), nibble);
    sums->add(_mm256_shuffle_epi8(table_at(table), even),
              _mm256_shuffle_epi8(table_at(table + 16), even));
    sums->add(_mm256_shuffle_epi8(table_at(table + 32), odd),
              _mm256_shuffle_epi8(table_at(table + 48), odd));
  }
}

// One plane of entries, 32 bytes from each 16 to the next. vpblendvb shares its ports with vpshufb,
// so bit 4 is left to the latter, which gives 0 where bit 7 of an index is set.
//
// lower: an index for the entries whose bit 4 is 0, upper: for the others; bit5, 6, 7: have this
// bit of the codes on top.
struct Wide {
  __m256i lower, upper, bit5, bit6, bit7;

  __m256i find_32(const unsigned char* plane) const {
    return _mm256_or_si256(_mm256_shuffle_epi8(table_at(plane), lower),
                           _mm256_shuffle_epi8(table_at(plane + 32), upper));
  }
  __m256i find_64(const unsigned char* plane) const {
    return choose(find_32(plane), find_32(plane + 64), bit5);
  }
  __m256i find_128(const unsigned char* plane) const {
    return choose(find_64(plane), find_64(plane + 128), bit6);
  }
  __m256i find_256(const unsigned char* plane) const {
    return choose(find_128(plane), find_128(plane + 256), bit7);
  }
};

void add_32(const unsigned char* packed, const unsigned char* table, Sums* sums) {
  const __m256i nibble = _mm256_set1_epi8(15);
  __m256i fifth = load(packed + 128);
  for (int64_t m = 0; m < kUnit; ++m, table += 64) {
    __m256i codes = load(packed + 32 * (m / 2));
    if (m % 2 == 1) codes = _mm256_srli_epi16(codes, 4);
    codes = _mm256_and_si256(codes, nibble);
    const __m256i low = choose(_mm256_shuffle_epi8(table_at(table), codes),
                               _mm256_shuffle_epi8(table_at(table + 32), codes), fifth);
    const __m256i high = choose(_mm256_shuffle_epi8(table_at(table + 16), codes),
                                _mm256_shuffle_epi8(table_at(table + 48), codes), fifth);
    sums->add(low, high);
    fifth = next_bit(fifth);
  }
}

template <int kEntries>
void add_wide(const unsigned char* packed, const unsigned char* table, Sums* sums) {
  const __m256i nibble = _mm256_set1_epi8(15), top = _mm256_set1_epi8(-128);
  for (int64_t m = 0; m < kUnit; ++m, table += 2 * kEntries) {
    const __m256i codes = load(packed + 32 * m);
    Wide wide;
    wide.bit7 = codes;
    wide.bit6 = kEntries > 64 ? next_bit(codes) : codes;
    wide.bit5 = next_bit(wide.bit6);
    const __m256i bit4 = _mm256_and_si256(next_bit(wide.bit5), top);
    // vpshufb looks at bits 0 to 3 and 7 only; the latter is 0 up to 128 entries.
    wide.lower = _mm256_or_si256(kEntries > 128 ? _mm256_and_si256(codes, nibble) : codes, bit4);
    wide.upper = _mm256_xor_si256(wide.lower, top);
    if (kEntries == 64) {
      sums->add(wide.find_64(table), wide.find_64(table + 16));
    } else if (kEntries == 128) {
      sums->add(wide.find_128(table), wide.find_128(table + 16));
    } else {
      sums->add(wide.find_256(table), wide.find_256(table + 16));
    }
  }
}

inline void flush(__m256i words, __m256 factor, bool first, float* sums) {
  for (int half = 0; half < 2; ++half) {
    const __m128i part =
        half == 0 ? _mm256_castsi256_si128(words) : _mm256_extracti128_si256(words, 1);
    float* to = sums + 16 * half;
    const __m256 before = first ? _mm256_setzero_ps() : _mm256_loadu_ps(to);
    _mm256_storeu_ps(
        to, _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(part)), factor, before));
  }
}

// 32 outputs at a time, so that their sums stay in registers.
template <void (*kAddUnit)(const unsigned char*, const unsigned char*, Sums*)>
void add_units(int64_t group_bytes, const unsigned char* packed, int64_t units,
               const unsigned char* table, int64_t table_bytes, float factor, bool first,
               float* sums) {
  const __m256 factors = _mm256_set1_ps(factor);
  const int64_t stride = kGroups * group_bytes;
  const unsigned char* ahead = packed + units * stride;
  for (int g = 0; g < kGroups; ++g, packed += group_bytes, sums += 32) {
    Sums group = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    const unsigned char *from = packed, *unit_table = table;
    for (int64_t u = 0; u < units; ++u, from += stride, unit_table += kUnit * table_bytes) {
      // Codes of a large layer come from L3 or from memory.
      for (int64_t i = 0; i < group_bytes; i += 64, ahead += 64) {
        _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T0);
      }
      kAddUnit(from, unit_table, &group);
    }
    const __m256i even =
        _mm256_add_epi16(group.low, _mm256_slli_epi16(_mm256_sub_epi16(group.high, group.odd), 8));
    const __m256i odd =
        _mm256_add_epi16(group.odd, _mm256_andnot_si256(_mm256_set1_epi16(0xff), group.high));
    // Outputs 0 to 7 and 16 to 23, then the other ones.
    flush(_mm256_unpacklo_epi16(even, odd), factors, first, sums);
    flush(_mm256_unpackhi_epi16(even, odd), factors, first, sums + 8);
  }
}

void add(int64_t K, const unsigned char* packed, int64_t units, const unsigned char* table,
         float factor, bool first, float* sums) {
  const int64_t group = unit_bytes(K) / kGroups;
  if (K <= 16) {
    add_units<add_16>(group, packed, units, table, 32, factor, first, sums);
  } else if (K <= 32) {
    add_units<add_32>(group, packed, units, table, 64, factor, first, sums);
  } else if (K <= 64) {
    add_units<add_wide<64>>(group, packed, units, table, 128, factor, first, sums);
  } else if (K <= 128) {
    add_units<add_wide<128>>(group, packed, units, table, 256, factor, first, sums);
  } else {
    add_units<add_wide<256>>(group, packed, units, table, 512, factor, first, sums);
  }
}

// Units at a time, and bytes ahead: words of a large layer come from memory.
constexpr int64_t kWordUnits = 16;
constexpr int64_t kWordPrefetch = kWordUnits * kFcBlock * 4;

// 64 outputs of a few units at a time.
void multiply(const int16_t* words, int64_t units, const int16_t* x, float factor, bool first,
              float* sums) {
  alignas(32) int32_t totals[kFcBlock] = {};
  for (int64_t u0 = 0; u0 < units; u0 += kWordUnits, x += 2 * kWordUnits) {
    const int64_t count = units - u0 < kWordUnits ? units - u0 : kWordUnits;
    const char* ahead = reinterpret_cast<const char*>(words) + kWordPrefetch;
    for (int64_t c = 0; c < kFcBlock; c += 64) {
      __m256i sum[8];
      for (int i = 0; i < 8; ++i) sum[i] = load(totals + c + 8 * i);
      const int16_t* from = words + 2 * c;
      for (int64_t u = 0; u < count; ++u, from += 2 * kFcBlock, ahead += 256) {
        for (int i = 0; i < 256; i += 64) _mm_prefetch(ahead + i, _MM_HINT_T0);
        const __m256i pair = pair_at(x + 2 * u);
        for (int i = 0; i < 8; ++i) {
          sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(load(from + 16 * i), pair));
        }
      }
      for (int i = 0; i < 8; ++i) store(totals + c + 8 * i, sum[i]);
    }
    words += count * 2 * kFcBlock;
  }
  const __m256 factors = _mm256_set1_ps(factor);
  for (int64_t c = 0; c < kFcBlock; c += 8) {
    const __m256 before = first ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + c);
    _mm256_storeu_ps(sums + c,
                     _mm256_fmadd_ps(_mm256_cvtepi32_ps(load(totals + c)), factors, before));
  }
}

float energy(const float* x, int64_t count) {
  __m256 a = _mm256_setzero_ps(), b = a;
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m256 v = _mm256_loadu_ps(x + i), w = _mm256_loadu_ps(x + i + 8);
    a = _mm256_fmadd_ps(v, v, a);
    b = _mm256_fmadd_ps(w, w, b);
  }
  a = _mm256_add_ps(a, b);
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  sum = _mm_hadd_ps(sum, sum);
  float total = _mm_cvtss_f32(_mm_hadd_ps(sum, sum));
  for (; i < count; ++i) total += x[i] * x[i];
  return total;
}

constexpr FcOps kOps = {16, unit, unit_bytes, pack, unpack, build, add, energy, multiply};

}  // namespace

const FcOps* fc_ops_avx2() { return &kOps; }

}  // namespace qcnn
#else
namespace qcnn {
const FcOps* fc_ops_avx2() { return nullptr; }
}  // namespace qcnn
#endif
