// Primitives of the fast fully-connected layer in AVX-512 (F, BW, VL, DQ). Included by one file a
// variant, which defines dot(): two products of int16 a lane, added to an int32.
//
// Codes are packed so that one register of int16 lanes holds 32 outputs and a shift is all that
// unpacking takes: four codes of 4 bits, three of 5 bits or two of 8 bits in a lane. vpermw ignores
// the bits above the index.
//
// With VBMI, tables of more than 32 entries are two tables of bytes, one of low and one of high
// ones, and codes are bytes (byte_of): two permutations look up 64 codes, in place of 32.
#ifndef QCNN_CORE_QFC_AVX512_INL_H_
#define QCNN_CORE_QFC_AVX512_INL_H_

#include <immintrin.h>

#include <cstring>

#include "core/fc_ops.h"

namespace qcnn {
namespace {

constexpr int kRegisters = kFcBlock / 32;         // of packed codes in a block
constexpr int64_t kPrefetch = 32 * kFcBlock * 2;  // bytes ahead: fc6 of AlexNet in
                                                  // 0.22 ms instead of 0.45

int64_t unit(int64_t K) { return K <= 16 ? 4 : K <= 32 ? 3 : 2; }

int64_t unit_bytes(int64_t) { return kFcBlock * 2; }

#if defined(__AVX512VBMI__)
constexpr bool kByteTables = true;
#else
constexpr bool kByteTables = false;
#endif

// Where the code of output c, of a unit's subspace m, is among bytes: the even bytes of a register
// hold 32 outputs, the odd ones the next 32.
inline int64_t byte_of(int64_t m, int64_t c) {
  return m * kFcBlock + c / 64 * 64 + c % 32 * 2 + c % 64 / 32;
}

void pack(int64_t K, const uint8_t* codes, unsigned char* packed) {
  const int64_t subspaces = unit(K);
  const int bits = K <= 16 ? 4 : K <= 32 ? 5 : 8;
  uint16_t* words = reinterpret_cast<uint16_t*>(packed);
  for (int64_t c = 0; c < kFcBlock; ++c) {
    unsigned word = 0;
    for (int64_t m = 0; m < subspaces; ++m) {
      const unsigned code = codes[m * kFcBlock + c];
      word |= code << (bits * m);
      if (kByteTables && bits == 8) packed[byte_of(m, c)] = static_cast<unsigned char>(code);
    }
    if (!kByteTables || bits < 8) words[c] = static_cast<uint16_t>(word);
  }
}

void unpack(int64_t K, const unsigned char* packed, uint8_t* codes) {
  const int64_t subspaces = unit(K);
  const int bits = K <= 16 ? 4 : K <= 32 ? 5 : 8;
  const uint16_t* words = reinterpret_cast<const uint16_t*>(packed);
  for (int64_t m = 0; m < subspaces; ++m) {
    for (int64_t c = 0; c < kFcBlock; ++c) {
      codes[m * kFcBlock + c] =
          kByteTables && bits == 8
              ? packed[byte_of(m, c)]
              : static_cast<uint8_t>(words[c] >> (bits * m) & ((1 << bits) - 1));
    }
  }
}

inline __m512i pair_at(const int16_t* x) {
  int32_t pair;
  std::memcpy(&pair, x, 4);
  return _mm512_set1_epi32(pair);
}

// 16 entries of a table from `k` on, each in the high half of an int32.
inline __m512i entries_at(const FcBuild& b, const int16_t* words, const int16_t* x, int64_t k) {
  __m512i sum = _mm512_set1_epi32(0x8000);
  for (int64_t j = 0; j < b.pairs; ++j) {
    sum = dot(sum, _mm512_loadu_si512(words + 2 * (j * b.entries + k)), pair_at(x + 2 * j));
  }
  return sum;
}

#if defined(__AVX512VBMI__)
// The low bytes of all entries, then the high ones.
void build_bytes(const FcBuild& b) {
  unsigned char* table = b.table;
  alignas(64) uint8_t third[64];  // byte 2 of every int32 of two registers, and byte 3 of it
  for (int i = 0; i < 32; ++i) {
    third[i] = static_cast<uint8_t>(4 * i + 2);
    third[32 + i] = static_cast<uint8_t>(4 * i + 3);
  }
  const __m512i halves = _mm512_load_si512(third);
  for (int64_t m = 0; m < b.subspaces; ++m, table += 2 * b.entries) {
    const int16_t* words = b.words + m * b.words_stride;
    const int16_t* x = b.x + m * b.pairs * 2;
    for (int64_t k = 0; k < b.entries; k += 32) {
      const __m512i both = _mm512_permutex2var_epi8(entries_at(b, words, x, k), halves,
                                                    entries_at(b, words, x, k + 16));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(table + k), _mm512_castsi512_si256(both));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(table + b.entries + k),
                          _mm512_extracti64x4_epi64(both, 1));
    }
  }
}
#endif

void build(const FcBuild& b) {
#if defined(__AVX512VBMI__)
  if (b.entries > 32) return build_bytes(b);
#endif
  int16_t* table = reinterpret_cast<int16_t*>(b.table);
  for (int64_t m = 0; m < b.subspaces; ++m, table += b.entries) {
    const int16_t* words = b.words + m * b.words_stride;
    const int16_t* x = b.x + m * b.pairs * 2;
    for (int64_t k = 0; k < b.entries; k += 16) {
      const __m512i sum = entries_at(b, words, x, k);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(table + k),
                          _mm512_cvtepi32_epi16(_mm512_srai_epi32(sum, 16)));
    }
  }
}

// Codes of a large layer come from L3 or from memory, and on an AMD EPYC the hardware's own
// prefetching alone leaves half of that bandwidth unused. Into L2: an Intel core waits for three
// times as many lines there as in L1, and AlexNet's layers take 6 to 9 % less time than with a
// prefetch into L1.
inline void prefetch(const unsigned char* packed) {
  for (int i = 0; i < kRegisters; ++i) {
    _mm_prefetch(reinterpret_cast<const char*>(packed) + kPrefetch + 64 * i, _MM_HINT_T1);
  }
}

inline void flush(const __m512i* sum, float factor, bool first, float* sums) {
  const __m512 f = _mm512_set1_ps(factor);
  for (int i = 0; i < kRegisters; ++i) {
    for (int half = 0; half < 2; ++half) {
      float* to = sums + 32 * i + 16 * half;
      const __m256i part =
          half == 0 ? _mm512_castsi512_si256(sum[i]) : _mm512_extracti64x4_epi64(sum[i], 1);
      const __m512 value = _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(part));
      const __m512 before = first ? _mm512_setzero_ps() : _mm512_loadu_ps(to);
      _mm512_storeu_ps(to, _mm512_fmadd_ps(value, f, before));
    }
  }
}

// Each of the loops below has sums of its own: of an array that is handed over, GCC keeps a copy in
// memory, filled and read at every call.

// K <= 16: four tables of 16 entries, each twice in its register, because vpermw takes five bits.
void add_16(const unsigned char* packed, int64_t units, const int16_t* table, float factor,
            bool first, float* sums) {
  __m512i sum[kRegisters];
  for (int i = 0; i < kRegisters; ++i) sum[i] = _mm512_setzero_si512();
  for (int64_t u = 0; u < units; ++u, packed += kFcBlock * 2, table += 4 * 16) {
    prefetch(packed);
    __m512i t[4];
    for (int m = 0; m < 4; ++m) {
      t[m] = _mm512_broadcast_i64x4(
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(table + 16 * m)));
    }
    for (int i = 0; i < kRegisters; ++i) {
      const __m512i codes = _mm512_loadu_si512(packed + 64 * i);
      const __m512i a =
          _mm512_add_epi16(_mm512_permutexvar_epi16(codes, t[0]),
                           _mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 4), t[1]));
      const __m512i b =
          _mm512_add_epi16(_mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 8), t[2]),
                           _mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 12), t[3]));
      sum[i] = _mm512_add_epi16(sum[i], _mm512_add_epi16(a, b));
    }
  }
  flush(sum, factor, first, sums);
}

void add_32(const unsigned char* packed, int64_t units, const int16_t* table, float factor,
            bool first, float* sums) {
  __m512i sum[kRegisters];
  for (int i = 0; i < kRegisters; ++i) sum[i] = _mm512_setzero_si512();
  for (int64_t u = 0; u < units; ++u, packed += kFcBlock * 2, table += 3 * 32) {
    prefetch(packed);
    const __m512i t0 = _mm512_loadu_si512(table), t1 = _mm512_loadu_si512(table + 32),
                  t2 = _mm512_loadu_si512(table + 64);
    for (int i = 0; i < kRegisters; ++i) {
      const __m512i codes = _mm512_loadu_si512(packed + 64 * i);
      const __m512i a = _mm512_add_epi16(_mm512_permutexvar_epi16(codes, t0),
                                         _mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 5), t1));
      sum[i] = _mm512_add_epi16(
          sum[i], _mm512_add_epi16(a, _mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 10), t2)));
    }
  }
  flush(sum, factor, first, sums);
}

#if defined(__AVX512VBMI__)
// Bytes of a table of 64, 128 or 256 entries in 1, 2 or 4 registers; bit 7 chooses between pairs.
template <int kEntries>
inline __m512i byte_at(const __m512i* t, __m512i codes, __mmask64 bit7) {
  constexpr int kLast = kEntries / 64 - 1;
  if (kEntries == 64) return _mm512_permutexvar_epi8(codes, t[0]);
  const __m512i found = _mm512_permutex2var_epi8(t[0], codes, t[1 % (kLast + 1)]);
  if (kEntries == 128) return found;
  return _mm512_mask_mov_epi8(found, bit7,
                              _mm512_permutex2var_epi8(t[2 % (kLast + 1)], codes, t[kLast]));
}

// Sums of low bytes: `all` of an even byte and 256 times the odd one beside it, `odd` of odd bytes;
// of high bytes only the lowest 8 bits matter.
template <int kEntries>
void add_wide(const unsigned char* packed, int64_t units, const unsigned char* table, float factor,
              bool first, float* sums) {
  constexpr int kTables = kEntries / 64;
  __m512i all[kRegisters / 2], odd[kRegisters / 2], high[kRegisters / 2];
  for (int i = 0; i < kRegisters / 2; ++i) all[i] = odd[i] = high[i] = _mm512_setzero_si512();
  for (int64_t u = 0; u < units; ++u) {
    prefetch(packed);
    for (int m = 0; m < 2; ++m, packed += kFcBlock, table += 2 * kEntries) {
      __m512i low_table[kTables], high_table[kTables];
      for (int j = 0; j < kTables; ++j) {
        low_table[j] = _mm512_loadu_si512(table + 64 * j);
        high_table[j] = _mm512_loadu_si512(table + kEntries + 64 * j);
      }
      for (int i = 0; i < kRegisters / 2; ++i) {
        const __m512i codes = _mm512_loadu_si512(packed + 64 * i);
        const __mmask64 bit7 = kEntries == 256 ? _mm512_movepi8_mask(codes) : 0;
        const __m512i low = byte_at<kEntries>(low_table, codes, bit7);
        all[i] = _mm512_add_epi16(all[i], low);
        odd[i] = _mm512_add_epi16(odd[i], _mm512_srli_epi16(low, 8));
        high[i] = _mm512_add_epi8(high[i], byte_at<kEntries>(high_table, codes, bit7));
      }
    }
  }
  __m512i sum[kRegisters];
  for (int i = 0; i < kRegisters / 2; ++i) {
    const __m512i rest = _mm512_slli_epi16(_mm512_sub_epi8(high[i], odd[i]), 8);
    sum[2 * i] = _mm512_add_epi16(all[i], rest);
    sum[2 * i + 1] =
        _mm512_add_epi16(odd[i], _mm512_andnot_si512(_mm512_set1_epi16(0xff), high[i]));
  }
  flush(sum, factor, first, sums);
}
#else
// Tables of 64, 128 and 256 entries are 2, 4 and 8 registers; bits 6 and 7 choose between pairs.
template <int kEntries>
void add_wide(const unsigned char* packed, int64_t units, const unsigned char* bytes, float factor,
              bool first, float* sums) {
  __m512i sum[kRegisters];
  for (int i = 0; i < kRegisters; ++i) sum[i] = _mm512_setzero_si512();
  const int16_t* table = reinterpret_cast<const int16_t*>(bytes);
  for (int64_t u = 0; u < units; ++u, packed += kFcBlock * 2) {
    prefetch(packed);
    for (int m = 0; m < 2; ++m, table += kEntries) {
      __m512i t[kEntries / 32];
      for (int j = 0; j < kEntries / 32; ++j) t[j] = _mm512_loadu_si512(table + 32 * j);
      for (int i = 0; i < kRegisters; ++i) {
        __m512i codes = _mm512_loadu_si512(packed + 64 * i);
        // The code in the low byte: what is above its index bits does not matter.
        if (m == 1) codes = _mm512_srli_epi16(codes, 8);
        __m512i found = _mm512_permutex2var_epi16(t[0], codes, t[1]);
        if (kEntries >= 128) {
          const __mmask32 bit6 = _mm512_movepi16_mask(_mm512_slli_epi16(codes, 9));
          found = _mm512_mask_mov_epi16(
              found, bit6,
              _mm512_permutex2var_epi16(t[2 % (kEntries / 32)], codes, t[3 % (kEntries / 32)]));
          if (kEntries == 256) {
            const __m512i upper = _mm512_mask_mov_epi16(
                _mm512_permutex2var_epi16(t[4 % (kEntries / 32)], codes, t[5 % (kEntries / 32)]),
                bit6,
                _mm512_permutex2var_epi16(t[6 % (kEntries / 32)], codes, t[7 % (kEntries / 32)]));
            const __mmask32 bit7 = _mm512_movepi16_mask(_mm512_slli_epi16(codes, 8));
            found = _mm512_mask_mov_epi16(found, bit7, upper);
          }
        }
        sum[i] = _mm512_add_epi16(sum[i], found);
      }
    }
  }
  flush(sum, factor, first, sums);
}
#endif

void add(int64_t K, const unsigned char* packed, int64_t units, const unsigned char* table,
         float factor, bool first, float* sums) {
  const int16_t* entries = reinterpret_cast<const int16_t*>(table);
  if (K <= 16) {
    add_16(packed, units, entries, factor, first, sums);
  } else if (K <= 32) {
    add_32(packed, units, entries, factor, first, sums);
  } else if (K <= 64) {
    add_wide<64>(packed, units, table, factor, first, sums);
  } else if (K <= 128) {
    add_wide<128>(packed, units, table, factor, first, sums);
  } else {
    add_wide<256>(packed, units, table, factor, first, sums);
  }
}

float energy(const float* x, int64_t count) {
  __m512 sum = _mm512_setzero_ps();
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m512 v = _mm512_loadu_ps(x + i);
    sum = _mm512_fmadd_ps(v, v, sum);
  }
  if (i < count) {
    const __m512 v = _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << (count - i)) - 1u), x + i);
    sum = _mm512_fmadd_ps(v, v, sum);
  }
  return _mm512_reduce_add_ps(sum);
}

constexpr FcOps kOps = {kByteTables ? 128 : 64, unit, unit_bytes, pack, unpack, build, add, energy};

}  // namespace
}  // namespace qcnn

#endif  // QCNN_CORE_QFC_AVX512_INL_H_
