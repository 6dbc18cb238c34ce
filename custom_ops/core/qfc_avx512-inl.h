// Primitives of the fast fully-connected layer in AVX-512 (F, BW, VL, DQ). Included by one file a
// variant, which defines dot(): two products of int16 a lane, added to an int32.
//
// Codes are packed so that one register of int16 lanes holds 32 outputs and a shift is all that
// unpacking takes: four codes of 4 bits, three of 5 bits or two of 8 bits in a lane. vpermw ignores
// the bits above the index.
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

void pack(int64_t K, const uint8_t* codes, unsigned char* packed) {
  const int64_t subspaces = unit(K);
  const int bits = K <= 16 ? 4 : K <= 32 ? 5 : 8;
  uint16_t* words = reinterpret_cast<uint16_t*>(packed);
  for (int64_t c = 0; c < kFcBlock; ++c) {
    unsigned word = 0;
    for (int64_t m = 0; m < subspaces; ++m) {
      word |= static_cast<unsigned>(codes[m * kFcBlock + c]) << (bits * m);
    }
    words[c] = static_cast<uint16_t>(word);
  }
}

void unpack(int64_t K, const unsigned char* packed, uint8_t* codes) {
  const int64_t subspaces = unit(K);
  const int bits = K <= 16 ? 4 : K <= 32 ? 5 : 8;
  const uint16_t* words = reinterpret_cast<const uint16_t*>(packed);
  for (int64_t m = 0; m < subspaces; ++m) {
    for (int64_t c = 0; c < kFcBlock; ++c) {
      codes[m * kFcBlock + c] = static_cast<uint8_t>(words[c] >> (bits * m) & ((1 << bits) - 1));
    }
  }
}

inline __m512i pair_at(const int16_t* x) {
  int32_t pair;
  std::memcpy(&pair, x, 4);
  return _mm512_set1_epi32(pair);
}

void build(const FcBuild& b) {
  const __m512i round = _mm512_set1_epi32(0x8000);
  int16_t* table = reinterpret_cast<int16_t*>(b.table);
  for (int64_t m = 0; m < b.subspaces; ++m, table += b.entries) {
    const int16_t* words = b.words + m * b.words_stride;
    const int16_t* x = b.x + m * b.pairs * 2;
    for (int64_t k = 0; k < b.entries; k += 16) {
      __m512i sum = round;
      for (int64_t j = 0; j < b.pairs; ++j) {
        sum = dot(sum, _mm512_loadu_si512(words + 2 * (j * b.entries + k)), pair_at(x + 2 * j));
      }
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(table + k),
                          _mm512_cvtepi32_epi16(_mm512_srai_epi32(sum, 16)));
    }
  }
}

// Codes of a large layer come from L3 or from memory, and the hardware's own prefetching alone
// leaves half of that bandwidth unused. Into L2: an Intel core waits for three times as many lines
// there as in L1, and AlexNet's layers take 4 to 9 % less time than with a prefetch into L1.
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

// K <= 16: four tables of 16 entries, each twice in its register, because vpermw takes five bits.
void add_16(const unsigned char* packed, int64_t units, const int16_t* table, __m512i* sum) {
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
}

void add_32(const unsigned char* packed, int64_t units, const int16_t* table, __m512i* sum) {
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
}

// Tables of 64, 128 and 256 entries are 2, 4 and 8 registers; bits 6 and 7 choose between pairs.
template <int kEntries>
void add_wide(const unsigned char* packed, int64_t units, const int16_t* table, __m512i* sum) {
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
}

void add(int64_t K, const unsigned char* packed, int64_t units, const unsigned char* table,
         float factor, bool first, float* sums) {
  const int16_t* entries = reinterpret_cast<const int16_t*>(table);
  __m512i sum[kRegisters];
  for (int i = 0; i < kRegisters; ++i) sum[i] = _mm512_setzero_si512();
  if (K <= 16) {
    add_16(packed, units, entries, sum);
  } else if (K <= 32) {
    add_32(packed, units, entries, sum);
  } else if (K <= 64) {
    add_wide<64>(packed, units, entries, sum);
  } else if (K <= 128) {
    add_wide<128>(packed, units, entries, sum);
  } else {
    add_wide<256>(packed, units, entries, sum);
  }
  flush(sum, factor, first, sums);
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

constexpr FcOps kOps = {64, unit, unit_bytes, pack, unpack, build, add, energy};

}  // namespace
}  // namespace qcnn

#endif  // QCNN_CORE_QFC_AVX512_INL_H_
