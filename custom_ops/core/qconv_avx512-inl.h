// Primitives of the fast convolution in AVX-512 (F, BW, VL, DQ). Included by one file a variant,
// which defines dot(): two products of int16 a lane, added to an int32.
#ifndef QCNN_CORE_QCONV_AVX512_INL_H_
#define QCNN_CORE_QCONV_AVX512_INL_H_

#include <immintrin.h>

#include <cassert>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "core/conv_ops.h"
#include "core/conv_patches-inl.h"

namespace qcnn {
namespace {

struct Moments {
  __m512 squares, sum;
};

// least: of a NaN and another, _mm512_min_ps takes its second argument.
inline Moments moments_of(const float* x, int64_t width, __mmask16 tail, __m512* least) {
  Moments m = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  int64_t j = 0;
  for (; j + 16 <= width; j += 16) {
    const __m512 v = _mm512_loadu_ps(x + j);
    m.squares = _mm512_fmadd_ps(v, v, m.squares);
    m.sum = _mm512_add_ps(v, m.sum);
    *least = _mm512_min_ps(v, *least);
  }
  if (tail != 0) {
    const __m512 v = _mm512_maskz_loadu_ps(tail, x + j);
    m.squares = _mm512_fmadd_ps(v, v, m.squares);
    m.sum = _mm512_add_ps(v, m.sum);
    *least = _mm512_min_ps(v, *least);
  }
  return m;
}

// Sums across the lanes of four registers.
inline __m128 across(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512 abcd =
      _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(abcd), _mm512_extractf32x8_ps(abcd, 1));
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

// Three channels and nothing between the pixels, as in an RGB image: 16 pixels are three registers.
inline int64_t moments_of_three(const float* input, int64_t pixels, float* squares, float* sums,
                                __m512* least) {
  // Channel j of pixel i is float 3 * i + j of the first 32 (two registers) or, from 32 on, of the
  // third: taken from the first two, then from the third where bit 5 of the index is set.
  const __m512i step =
      _mm512_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 42, 45);
  int64_t p = 0;
  for (; p + 16 <= pixels; p += 16, input += 48) {
    for (int i = 0; i < 3; ++i) {  // 3 KiB ahead
      _mm_prefetch(reinterpret_cast<const char*>(input + 768 + 16 * i), _MM_HINT_T0);
    }
    const __m512 a = _mm512_loadu_ps(input), b = _mm512_loadu_ps(input + 16),
                 c = _mm512_loadu_ps(input + 32);
    *least = _mm512_min_ps(a, _mm512_min_ps(b, _mm512_min_ps(c, *least)));
    __m512 square = _mm512_setzero_ps(), sum = square;
    for (int j = 0; j < 3; ++j) {
      const __m512i at = _mm512_add_epi32(step, _mm512_set1_epi32(j));
      const __mmask16 third = _mm512_cmpge_epi32_mask(at, _mm512_set1_epi32(32));
      const __m512 x = _mm512_mask_permutexvar_ps(_mm512_permutex2var_ps(a, at, b), third, at, c);
      square = _mm512_fmadd_ps(x, x, square);
      sum = _mm512_add_ps(x, sum);
    }
    _mm512_storeu_ps(squares + p, square);
    _mm512_storeu_ps(sums + p, sum);
  }
  return p;
}

bool moments(const float* input, int64_t pixels, int64_t stride, int64_t width, float* squares,
             float* sums) {
  const __mmask16 tail = static_cast<__mmask16>((1u << (width % 16)) - 1u);
  __m512 least = _mm512_setzero_ps();
  int64_t p =
      width == 3 && stride == 3 ? moments_of_three(input, pixels, squares, sums, &least) : 0;
  input += p * stride;
  for (; p + 4 <= pixels; p += 4, input += 4 * stride) {
    Moments m[4];
    for (int i = 0; i < 4; ++i) {
      m[i] = moments_of(input + i * stride, width, tail, &least);
    }
    _mm_storeu_ps(squares + p, across(m[0].squares, m[1].squares, m[2].squares, m[3].squares));
    _mm_storeu_ps(sums + p, across(m[0].sum, m[1].sum, m[2].sum, m[3].sum));
  }
  for (; p < pixels; ++p, input += stride) {
    const Moments m = moments_of(input, width, tail, &least);
    squares[p] = _mm512_reduce_add_ps(m.squares);
    sums[p] = _mm512_reduce_add_ps(m.sum);
  }
  return _mm512_reduce_min_ps(least) >= 0;
}

inline __m512i rounded(__m512 a, __m512 b) {
  return _mm512_packs_epi32(_mm512_cvtps_epi32(a), _mm512_cvtps_epi32(b));
}

// Elements 0 and 2 (kOdd: 1 and 3) of each 128 bits of a, then of b.
template <bool kOdd>
inline __m512i every_other(__m512i a, __m512i b) {
  return _mm512_castps_si512(
      _mm512_shuffle_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), kOdd ? 0xdd : 0x88));
}

// Up to 16 channels of every second of 32 pixels. Two pixels are packed into a register of int16,
// in which 128 bits hold two pairs of channels of each; four pixels side by side then are 128 bits
// of one pair.
inline void quantize_16(const float* const* pixels, int64_t first, const float* scale,
                        int64_t channels, int16_t* out) {
  const __mmask16 mask = static_cast<__mmask16>((1u << channels) - 1u);
  __m512i even[4], odd[4];  // lane l: pair 2 * l, 2 * l + 1 of four pixels
  for (int i = 0; i < 4; ++i) {
    __m512 x[4];
    for (int j = 0; j < 4; ++j) {
      const int p = 2 * (4 * i + j);
      x[j] =
          _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, pixels[p] + first), _mm512_set1_ps(scale[p]));
    }
    const __m512i ab = rounded(x[0], x[1]), cd = rounded(x[2], x[3]);
    even[i] = every_other<false>(ab, cd);
    odd[i] = every_other<true>(ab, cd);
  }
  const int64_t pairs = (channels + 1) / 2;
  for (int high = 0; high < 2; ++high) {  // pairs 0 to 3, 4 to 7
    int16_t* to = out + 4 * 64 * high;
    const __m512i* half[2] = {even, odd};
    for (int o = 0; o < 2; ++o) {
      const __m512i* r = half[o];
      const __m512i a = high == 0 ? _mm512_shuffle_i32x4(r[0], r[1], 0x44)
                                  : _mm512_shuffle_i32x4(r[0], r[1], 0xee);
      const __m512i b = high == 0 ? _mm512_shuffle_i32x4(r[2], r[3], 0x44)
                                  : _mm512_shuffle_i32x4(r[2], r[3], 0xee);
      if (4 * high + o < pairs) {
        _mm512_store_si512(to + 64 * o, _mm512_shuffle_i32x4(a, b, 0x88));
      }
      if (4 * high + o + 2 < pairs) {
        _mm512_store_si512(to + 64 * (o + 2), _mm512_shuffle_i32x4(a, b, 0xdd));
      }
    }
  }
}

// The same of up to 8 channels: a register holds two pixels, four apart, before it is packed.
inline void quantize_8(const float* const* pixels, int64_t first, const float* scale,
                       int64_t channels, int16_t* out) {
  const __mmask8 mask = static_cast<__mmask8>((1u << channels) - 1u);
  __m512i even[2], odd[2];
  for (int i = 0; i < 2; ++i) {
    __m512 x[4];
    for (int j = 0; j < 4; ++j) {
      const int a = 2 * (8 * i + j), b = a + 8;
      const __m256 xa =
          _mm256_mul_ps(_mm256_maskz_loadu_ps(mask, pixels[a] + first), _mm256_set1_ps(scale[a]));
      const __m256 xb =
          _mm256_mul_ps(_mm256_maskz_loadu_ps(mask, pixels[b] + first), _mm256_set1_ps(scale[b]));
      x[j] = _mm512_insertf32x8(_mm512_castps256_ps512(xa), xb, 1);
    }
    const __m512i ab = rounded(x[0], x[1]), cd = rounded(x[2], x[3]);
    even[i] = every_other<false>(ab, cd);
    odd[i] = every_other<true>(ab, cd);
  }
  const int64_t pairs = (channels + 1) / 2;
  _mm512_store_si512(out, _mm512_shuffle_i32x4(even[0], even[1], 0x88));
  if (pairs > 1) _mm512_store_si512(out + 64, _mm512_shuffle_i32x4(odd[0], odd[1], 0x88));
  if (pairs > 2) _mm512_store_si512(out + 128, _mm512_shuffle_i32x4(even[0], even[1], 0xdd));
  if (pairs > 3) _mm512_store_si512(out + 192, _mm512_shuffle_i32x4(odd[0], odd[1], 0xdd));
}

void quantize(const float* const* pixels, int64_t first, const float* scale, int64_t width,
              int16_t* out) {
  for (int64_t j = 0; j < width;) {
    const int64_t left = width - j < 16 ? width - j : 16;
    for (int odd = 0; odd < 2; ++odd) {
      int16_t* to = out + j * kLanes + 32 * odd;
      if (left > 8) {
        quantize_16(pixels + odd, first + j, scale + odd, left, to);
      } else {
        quantize_8(pixels + odd, first + j, scale + odd, left, to);
      }
    }
    j += left;
  }
}

// Lane 2 * i + odd lies at i + 16 * odd in the rows that quantize() writes: the high halves of the
// sums of even and odd lanes then only have to be put together, which takes two operations where a
// permutation of two registers takes three on Intel cores.
inline __m512i high_halves(__m512i even, __m512i odd) {
  return _mm512_mask_mov_epi16(_mm512_srli_epi32(even, 16), 0xaaaaaaaau, odd);
}

inline __m512i word_at(const int16_t* words) {
  int32_t pair;
  std::memcpy(&pair, words, 4);
  return _mm512_set1_epi32(pair);
}

// Two rows at a time share each codeword's broadcast.
template <int kPairs, int kRows>
void build_rows(const int16_t* words, int64_t K, const int16_t* x, int64_t x_stride,
                int16_t* const* table) {
  const __m512i round = _mm512_set1_epi32(0x8000);
  __m512i low[kRows][kPairs], high[kRows][kPairs];
  int16_t* to[kRows];
  for (int r = 0; r < kRows; ++r) {
    to[r] = table[r];
    for (int j = 0; j < kPairs; ++j) {
      low[r][j] = _mm512_load_si512(x + r * x_stride + 64 * j);
      high[r][j] = _mm512_load_si512(x + r * x_stride + 64 * j + 32);
    }
  }
  for (int64_t k = 0; k < K; ++k, words += 2 * kPairs) {
    __m512i a[kRows], b[kRows];
    for (int r = 0; r < kRows; ++r) a[r] = b[r] = round;
    for (int j = 0; j < kPairs; ++j) {
      const __m512i w = word_at(words + 2 * j);
      for (int r = 0; r < kRows; ++r) {
        a[r] = dot(a[r], low[r][j], w);
        b[r] = dot(b[r], high[r][j], w);
      }
    }
    for (int r = 0; r < kRows; ++r) {
      _mm512_store_si512(to[r] + k * kLanes, high_halves(a[r], b[r]));
    }
  }
}

template <int kPairs>
void build_fixed(const int16_t* words, int64_t K, const int16_t* x, int64_t x_stride, int64_t rows,
                 int16_t* const* table) {
  int64_t row = 0;
  if (kPairs <= 4) {
    for (; row + 2 <= rows; row += 2) {
      build_rows<kPairs, 2>(words, K, x + row * x_stride, x_stride, table + row);
    }
  }
  for (; row < rows; ++row) {
    build_rows<kPairs, 1>(words, K, x + row * x_stride, x_stride, table + row);
  }
}

void build_any(const int16_t* words, int64_t K, int64_t pairs, const int16_t* x, int64_t x_stride,
               int64_t rows, int16_t* const* table) {
  const __m512i round = _mm512_set1_epi32(0x8000);
  for (int64_t row = 0; row < rows; ++row, x += x_stride) {
    for (int64_t k = 0; k < K; ++k) {
      __m512i a = round, b = round;
      for (int64_t j = 0; j < pairs; ++j) {
        const __m512i w = word_at(words + 2 * (k * pairs + j));
        a = dot(a, _mm512_load_si512(x + 64 * j), w);
        b = dot(b, _mm512_load_si512(x + 64 * j + 32), w);
      }
      _mm512_store_si512(table[row] + k * kLanes, high_halves(a, b));
    }
  }
}

void build(const int16_t* words, int64_t K, int64_t pairs, const int16_t* x, int64_t x_stride,
           int64_t rows, int16_t* const* table) {
  switch (pairs) {
    case 1:
      return build_fixed<1>(words, K, x, x_stride, rows, table);
    case 2:
      return build_fixed<2>(words, K, x, x_stride, rows, table);
    case 3:
      return build_fixed<3>(words, K, x, x_stride, rows, table);
    case 4:
      return build_fixed<4>(words, K, x, x_stride, rows, table);
    case 5:
      return build_fixed<5>(words, K, x, x_stride, rows, table);
    case 8:
      return build_fixed<8>(words, K, x, x_stride, rows, table);
    default:
      return build_any(words, K, pairs, x, x_stride, rows, table);
  }
}

// Lanes by which the accumulator of each kernel column is shifted.
template <int kX>
inline void lane_shifts(const ConvLookup& l, __m512i* shift) {
  alignas(64) static const uint16_t kCount[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                                  11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                                  22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
  for (int i = 0; i < kX; ++i) {
    shift[i] =
        _mm512_add_epi16(_mm512_load_si512(kCount),
                         _mm512_set1_epi16(static_cast<short>(l.first_lane + i * l.lane_step)));
  }
}

inline __m512 low_floats(__m512i x) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm512_castsi512_si256(x)));
}

inline __m512 high_floats(__m512i x) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(x, 1)));
}

// Where the sums of one output go.
struct Target {
  int16_t* tile;
  float* sums;

  explicit Target(const ConvLookup& l) : tile(l.tile), sums(l.sums) {}
  void next(const ConvLookup& l) {
    tile += l.tile_stride;
    if (sums != nullptr) sums += l.tile_stride;
  }

  __m512i load(const ConvLookup& l, int v) const {
    return l.fresh ? _mm512_setzero_si512() : _mm512_load_si512(tile + kLanes * v);
  }

  void store(const ConvLookup& l, int v, __m512i total) const {
    if (sums == nullptr) {
      _mm512_store_si512(tile + kLanes * v, total);
      return;
    }
    float* to = sums + kLanes * v;
    const float* factor = l.factor + kLanes * v;
    __m512 low = _mm512_setzero_ps(), high = low;
    if (!l.first) {
      low = _mm512_load_ps(to);
      high = _mm512_load_ps(to + 16);
    }
    _mm512_store_ps(to, _mm512_fmadd_ps(low_floats(total), _mm512_load_ps(factor), low));
    _mm512_store_ps(to + 16,
                    _mm512_fmadd_ps(high_floats(total), _mm512_load_ps(factor + 16), high));
  }
};

// The accumulators sum[kX][kRows], shifted and added up.
template <int kX, int kRows>
inline void add_shifted(const ConvLookup& l, const __m512i* shift, const __m512i (&sum)[kX][kRows],
                        const Target& to) {
  for (int v = 0; v < kRows; ++v) {
    __m512i total = to.load(l, v);
    for (int i = 0; i < kX; ++i) {
      total = _mm512_add_epi16(total, _mm512_permutexvar_epi16(shift[i], sum[i][v]));
    }
    to.store(l, v, total);
  }
}

// The codes of one output, kBits each, from the lowest bit of words of 64 bits on. What limits
// lookups is loads, and this takes the fewest: one for a 3x3 kernel of up to 128 codewords. One
// code alone is a word of 16 bits.
template <int kTaps, int kBits>
struct PackedCodes {
  using Word = std::conditional_t<kTaps == 1, uint16_t, uint64_t>;
  static constexpr int kPerWord = 8 * sizeof(Word) / kBits;
  static constexpr int kWords = (kTaps + kPerWord - 1) / kPerWord;
  static constexpr int64_t kElements = sizeof(Word) / sizeof(uint16_t) * kWords;

  Word words[kWords];

  explicit PackedCodes(const uint16_t* from) { std::memcpy(words, from, sizeof(words)); }

  // The offset of code i's entry in a table row. The shift goes 3 bits less far, because the other
  // factor of 8 is part of an address.
  int64_t entry(int i) const {
    const int right = (64 + kBits * (i % kPerWord) - 3) % 64;
    const uint64_t word = words[i / kPerWord];
    const uint64_t turned = word >> right | word << (64 - right);
    return 8 * static_cast<int64_t>(turned & ((1u << kBits) - 1u) << 3);
  }
};

// One plane and kY kernel rows, one table row apart. One accumulator for each kernel column and row
// of the window, so that every load is aligned; the lanes are shifted once at the end, those of the
// first column not at all. kSums: the last lookups of a chunk. No branches and few pointers: one on
// the stack would be a load more.
template <int kX, int kY, int kRows, int kBits, bool kSums>
void add_packed(const ConvLookup& l) {
  using Packed = PackedCodes<kX * kY, kBits>;
  __m512i shift[kX];
  lane_shifts<kX>(l, shift);
  const char* table[kRows + kY - 1];
  for (int r = 0; r < kRows + kY - 1; ++r) table[r] = reinterpret_cast<const char*>(l.table[r]);
  __m512 factor[2 * kRows];
  for (int i = 0; kSums && i < 2 * kRows; ++i) factor[i] = _mm512_load_ps(l.factor + 16 * i);
  const __mmask32 has_tile = l.fresh ? 0 : 0xffffffffu;
  const __mmask16 has_sums = static_cast<__mmask16>(l.first ? 0 : 0xffff);
  int16_t* tile = l.tile;
  float* sums = l.sums;
  const int64_t stride = l.tile_stride;
  const uint16_t* codes = l.codes;
  const uint16_t* const end = codes + l.outputs * Packed::kElements;
  for (; codes != end; codes += Packed::kElements, tile += stride) {
    const Packed packed(codes);
    __m512i sum[kX][kRows];
#pragma GCC unroll 32
    for (int i = 0; i < kX * kY; ++i) {
      const int64_t entry = packed.entry(i);
#pragma GCC unroll 8
      for (int v = 0; v < kRows; ++v) {
        const __m512i found = _mm512_load_si512(table[v + i / kX] + entry);
        sum[i % kX][v] = i < kX ? found : _mm512_add_epi16(sum[i % kX][v], found);
      }
    }
    for (int v = 0; v < kRows; ++v) {
      __m512i total =
          _mm512_add_epi16(_mm512_maskz_loadu_epi16(has_tile, tile + kLanes * v), sum[0][v]);
      for (int i = 1; i < kX; ++i) {
        total = _mm512_add_epi16(total, _mm512_permutexvar_epi16(shift[i], sum[i][v]));
      }
      if constexpr (kSums) {
        float* to = sums + kLanes * v;
        const __m512 low = _mm512_maskz_load_ps(has_sums, to);
        const __m512 high = _mm512_maskz_load_ps(has_sums, to + 16);
        _mm512_store_ps(to, _mm512_fmadd_ps(low_floats(total), factor[2 * v], low));
        _mm512_store_ps(to + 16, _mm512_fmadd_ps(high_floats(total), factor[2 * v + 1], high));
      } else {
        _mm512_store_si512(tile + kLanes * v, total);
      }
    }
    if (kSums) sums += stride;
  }
}

// Any number of planes and kernel rows.
template <int kX, int kRows>
void add_any(const ConvLookup& l) {
  __m512i shift[kX];
  lane_shifts<kX>(l, shift);
  const uint16_t* codes = l.codes;
  Target to(l);
  for (int64_t c = 0; c < l.outputs; ++c, to.next(l)) {
    __m512i sum[kX][kRows];
    for (int i = 0; i < kX; ++i) {
      for (int v = 0; v < kRows; ++v) sum[i][v] = _mm512_setzero_si512();
    }
    int64_t plane = 0;
    for (int p = 0; p < l.planes; ++p, plane += 2 * l.plane_stride) {
      for (int y = 0; y < l.ny; ++y, codes += kX) {
        const char* table[kRows];
        for (int v = 0; v < kRows; ++v) {
          table[v] = reinterpret_cast<const char*>(l.table[v + y * l.row_step]) + plane;
        }
        for (int i = 0; i < kX; ++i) {
          const int64_t entry = 8 * static_cast<int64_t>(codes[i]);
          for (int v = 0; v < kRows; ++v) {
            sum[i][v] = _mm512_add_epi16(sum[i][v], _mm512_load_si512(table[v] + entry));
          }
        }
      }
    }
    add_shifted<kX, kRows>(l, shift, sum, to);
  }
}

// With more, there are fewer registers than accumulators.
int window(int nx) { return nx <= 4 ? kMaxWindow : 2; }

template <int kX, int kY, int kRows, int kBits>
void add_bits(const ConvLookup& l) {
  if (l.sums != nullptr) return add_packed<kX, kY, kRows, kBits, true>(l);
  add_packed<kX, kY, kRows, kBits, false>(l);
}

// kY 0: any number of planes and kernel rows. Wide K and more rows never come: see `add`.
template <int kX, int kY, int kRows>
void add_rows(const ConvLookup& l) {
  if constexpr (kY == 0) {
    add_any<kX, kRows>(l);
  } else if (l.K <= kNarrowK) {
    add_bits<kX, kY, kRows, 7>(l);
  } else if constexpr (kRows <= kMaxWideWindow) {
    add_bits<kX, kY, kRows, 8>(l);
  }
}

template <int kX, int kY>
void add_window(const ConvLookup& l) {
  if (l.rows == 1) return add_rows<kX, kY, 1>(l);
  if (l.rows == 2) return add_rows<kX, kY, 2>(l);
  if constexpr (kX <= 4) {
    if (l.rows == 3) return add_rows<kX, kY, 3>(l);
    add_rows<kX, kY, 4>(l);
  }
}

using Loop = void (*)(const ConvLookup&);

// Kernels of 1x1, 3x3 and 5x5, and the phases of strided ones, have loops of their own, with packed
// codes. Null for others, and for what is left of a kernel wider than kMaxTaps.
Loop packed_loop(const ConvLookup& l) {
  if (l.planes > 1 || (l.ny > 1 && l.row_step != 1) || l.first_lane != 0) return nullptr;
  switch (16 * l.ny + l.nx) {
    case 0x11:
      return add_window<1, 1>;
    case 0x22:
      return add_window<2, 2>;
    case 0x32:
      return add_window<2, 3>;
    case 0x23:
      return add_window<3, 2>;
    case 0x33:
      return add_window<3, 3>;
    case 0x34:
      return add_window<4, 3>;
    case 0x44:
      return add_window<4, 4>;
    case 0x55:
      return add_window<5, 5>;
    default:
      return nullptr;
  }
}

int64_t pack(const ConvLookup& l, const uint8_t* codes, uint16_t* packed) {
  if (packed_loop(l) == nullptr) return conv_pack_each(l, codes, packed);
  const int bits = l.K <= kNarrowK ? 7 : 8, per_word = 64 / bits, taps = l.ny * l.nx;
  if (taps == 1) {
    if (packed != nullptr) packed[0] = codes[0];
    return 1;
  }
  for (int i = 0; packed != nullptr && i < taps; i += per_word, packed += 4) {
    uint64_t word = 0;
    for (int j = 0; j < per_word && i + j < taps; ++j) {
      word |= static_cast<uint64_t>(codes[i + j]) << (bits * j);
    }
    std::memcpy(packed, &word, sizeof(word));
  }
  return (taps + per_word - 1) / per_word * 4;
}

void add(const ConvLookup& l) {
  assert(l.rows >= 1 && l.rows <= window(l.nx));
  assert(l.rows <= kMaxWideWindow || l.K <= kNarrowK);
  if (const Loop loop = packed_loop(l)) return loop(l);
  switch (l.nx) {
    case 1:
      return add_window<1, 0>(l);
    case 2:
      return add_window<2, 0>(l);
    case 3:
      return add_window<3, 0>(l);
    case 4:
      return add_window<4, 0>(l);
    case 5:
      return add_window<5, 0>(l);
    default:
      return add_window<6, 0>(l);
  }
}

inline __m512 to_float(const int16_t* tile) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi16_epi32(_mm256_load_si256(reinterpret_cast<const __m256i*>(tile))));
}

// What an activation clips to: without a question for each register.
struct Clip {
  __m512 low, high;

  explicit Clip(Activation activation) {
    const bool relu = activation == Activation::kRelu || activation == Activation::kRelu6;
    const bool both = activation == Activation::kReluN1To1;
    low = _mm512_set1_ps(relu ? 0.0f : both ? -1.0f : -INFINITY);
    high = _mm512_set1_ps(activation == Activation::kRelu6 ? 6.0f : both ? 1.0f : INFINITY);
  }

  // Both give x when x is NaN.
  __m512 operator()(__m512 x) const { return _mm512_min_ps(high, _mm512_max_ps(low, x)); }
};

// r[i][j] = r[j][i], 16x16 floats.
inline void transpose(__m512* r) {
  __m512 t[16];
  for (int i = 0; i < 16; i += 4) {
    const __m512 a = _mm512_unpacklo_ps(r[i], r[i + 1]), b = _mm512_unpackhi_ps(r[i], r[i + 1]);
    const __m512 c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]),
                 d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
    t[i] = _mm512_shuffle_ps(a, c, 0x44);
    t[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
    t[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
    t[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    const __m512 a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88);
    const __m512 b = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88);
    const __m512 c = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd);
    const __m512 d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);
    r[i] = _mm512_shuffle_f32x4(a, b, 0x88);
    r[i + 8] = _mm512_shuffle_f32x4(a, b, 0xdd);
    r[i + 4] = _mm512_shuffle_f32x4(c, d, 0x88);
    r[i + 12] = _mm512_shuffle_f32x4(c, d, 0xdd);
  }
}

// An output in the 16 lanes at `at` of tile and sums.
template <bool kSums, bool kScale>
inline __m512 finished(const ConvFinish& f, int64_t at, __m512 factor, __m512 scale, __m512 bias,
                       const Clip& clip) {
  __m512 x = to_float(f.tile + at);
  x = kSums ? _mm512_fmadd_ps(x, factor, _mm512_load_ps(f.sums + at)) : _mm512_mul_ps(x, factor);
  return clip(kScale ? _mm512_fmadd_ps(x, scale, bias) : _mm512_add_ps(x, bias));
}

// NaN where either is; the instruction's answer is then its second operand.
inline __m512 larger(__m512 a, __m512 b) {
  return _mm512_mask_mov_ps(_mm512_max_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}

// Outputs c to c + count - 1. count: at most 16; a constant where it is 16, for the sake of the
// registers.
template <bool kPooled, bool kSums, bool kScale>
inline void finish_block(const ConvFinish& f, const Clip& clip, int64_t c, int count) {
  const __mmask16 mask = static_cast<__mmask16>((1u << count) - 1u);
  for (int half = 0; half < 2; ++half) {
    const __m512 factor = _mm512_load_ps(f.factor + 16 * half);
    __m512 r[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      if (i >= count) {
        r[i] = _mm512_setzero_ps();
        continue;
      }
      const int64_t at = (c + i) * f.tile_stride + 16 * half;
      const __m512 scale = kScale ? _mm512_set1_ps(f.scale[c + i]) : factor;
      const __m512 bias = _mm512_set1_ps(f.bias != nullptr ? f.bias[c + i] : 0.0f);
      r[i] = finished<kSums, kScale>(f, at, factor, scale, bias, clip);
      if (kPooled && f.below != 0) {
        r[i] = larger(r[i], finished<kSums, kScale>(f, at + f.below, factor, scale, bias, clip));
      }
    }
    transpose(r);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += kPooled ? 2 : 1) {
      float* pixel = f.pixels[16 * half + i];
      if (pixel == nullptr) continue;
      if (kPooled && f.pixels[16 * half + i + 1] != nullptr) r[i] = larger(r[i], r[i + 1]);
      _mm512_mask_storeu_ps(pixel + c, mask, r[i]);
    }
  }
}

template <bool kPooled, bool kSums, bool kScale>
void finish_fixed(const ConvFinish& from) {
  const ConvFinish f = from;  // a copy that stores cannot change
  const Clip clip(f.activation);
  int64_t c = 0;
  for (; c + 16 <= f.outputs; c += 16) finish_block<kPooled, kSums, kScale>(f, clip, c, 16);
  if (c < f.outputs) {
    finish_block<kPooled, kSums, kScale>(f, clip, c, static_cast<int>(f.outputs - c));
  }
}

template <bool kPooled>
void finish_any(const ConvFinish& f) {
  if (f.sums == nullptr) {
    return f.scale == nullptr ? finish_fixed<kPooled, false, false>(f)
                              : finish_fixed<kPooled, false, true>(f);
  }
  return f.scale == nullptr ? finish_fixed<kPooled, true, false>(f)
                            : finish_fixed<kPooled, true, true>(f);
}

void finish(const ConvFinish& f) { return f.pooled ? finish_any<true>(f) : finish_any<false>(f); }

constexpr ConvOps kOps = {moments, patches, quantize, build, pack, add, finish, window};

}  // namespace
}  // namespace qcnn

#endif  // QCNN_CORE_QCONV_AVX512_INL_H_
