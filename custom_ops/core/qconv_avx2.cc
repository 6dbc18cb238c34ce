// Primitives of the fast convolution in AVX2 and FMA.
#include "core/conv_ops.h"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

#include <cstring>

#include "core/conv_patches-inl.h"

namespace qcnn {
namespace {

// The first `count` of 8 lanes, 0 to 8.
inline __m256i first_lanes(int64_t count) {
  alignas(32) static const int32_t kMask[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMask + 8 - count));
}

struct Moments {
  __m256 squares, sum;
};

// least: of a NaN and another, _mm256_min_ps takes its second argument.
inline Moments moments_of(const float* x, int64_t width, __m256i tail, __m256* least) {
  Moments m = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  int64_t j = 0;
  for (; j + 8 <= width; j += 8) {
    const __m256 v = _mm256_loadu_ps(x + j);
    m.squares = _mm256_fmadd_ps(v, v, m.squares);
    m.sum = _mm256_add_ps(v, m.sum);
    *least = _mm256_min_ps(v, *least);
  }
  if (j < width) {
    const __m256 v = _mm256_maskload_ps(x + j, tail);
    m.squares = _mm256_fmadd_ps(v, v, m.squares);
    m.sum = _mm256_add_ps(v, m.sum);
    *least = _mm256_min_ps(v, *least);
  }
  return m;
}

// Sums across the lanes of four registers.
inline __m128 across(__m256 a, __m256 b, __m256 c, __m256 d) {
  const __m256 sum = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
  return _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
}

bool moments(const float* input, int64_t pixels, int64_t stride, int64_t width, float* squares,
             float* sums) {
  const __m256i tail = first_lanes(width % 8);
  __m256 least = _mm256_setzero_ps();
  int64_t p = 0;
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
    squares[p] = _mm_cvtss_f32(across(m.squares, m.squares, m.squares, m.squares));
    sums[p] = _mm_cvtss_f32(across(m.sum, m.sum, m.sum, m.sum));
  }
  const __m128 four = _mm_min_ps(_mm256_castps256_ps128(least), _mm256_extractf128_ps(least, 1));
  const __m128 two = _mm_min_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_min_ss(two, _mm_movehdup_ps(two))) >= 0;
}

// Lane 2 * i + odd of 16 lies at i + 8 * odd in the rows that quantize() writes: the high halves of
// two registers of sums then interleave to 16 lanes in their order.
template <bool kWhole>
inline __m256 scaled_pixel(const float* pixel, float scale, __m256i mask) {
  const __m256 x = kWhole ? _mm256_loadu_ps(pixel) : _mm256_maskload_ps(pixel, mask);
  return _mm256_mul_ps(x, _mm256_set1_ps(scale));
}

// Up to eight channels. Two pixels fill a register of int16; its pairs of channels are then sorted.
template <bool kWhole>
inline void quantize_channels(const float* const* pixels, int64_t first, const float* scale,
                              int64_t channels, int16_t* out) {
  const __m256i mask = first_lanes(channels);
  const int64_t pairs = (channels + 1) / 2;
  for (int part = 0; part < 4; ++part) {
    const int from = 16 * (part / 2) + part % 2;
    __m256 rows[4];
    for (int i = 0; i < 4; ++i) {
      const int a = from + 4 * i, b = a + 2;
      rows[i] = _mm256_castsi256_ps(_mm256_packs_epi32(
          _mm256_cvtps_epi32(scaled_pixel<kWhole>(pixels[a] + first, scale[a], mask)),
          _mm256_cvtps_epi32(scaled_pixel<kWhole>(pixels[b] + first, scale[b], mask))));
    }
    float* to = reinterpret_cast<float*>(out) + 8 * part;
    const __m256 even0 = _mm256_shuffle_ps(rows[0], rows[1], 0x88);
    const __m256 even1 = _mm256_shuffle_ps(rows[2], rows[3], 0x88);
    const __m256 odd0 = _mm256_shuffle_ps(rows[0], rows[1], 0xdd);
    const __m256 odd1 = _mm256_shuffle_ps(rows[2], rows[3], 0xdd);
    _mm256_store_ps(to, _mm256_permute2f128_ps(even0, even1, 0x20));
    if (pairs > 1) _mm256_store_ps(to + 32, _mm256_permute2f128_ps(odd0, odd1, 0x20));
    if (pairs > 2) _mm256_store_ps(to + 64, _mm256_permute2f128_ps(even0, even1, 0x31));
    if (pairs > 3) _mm256_store_ps(to + 96, _mm256_permute2f128_ps(odd0, odd1, 0x31));
  }
}

void quantize(const float* const* pixels, int64_t first, const float* scale, int64_t width,
              int16_t* out) {
  int64_t j = 0;
  for (; j + 8 <= width; j += 8) {
    quantize_channels<true>(pixels, first + j, scale, 8, out + j * kLanes);
  }
  if (j < width) quantize_channels<false>(pixels, first + j, scale, width - j, out + j * kLanes);
}

inline __m256i load(const int16_t* from) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
}

inline __m256i loadu(const int16_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

inline void store(int16_t* to, __m256i value) {
  _mm256_store_si256(reinterpret_cast<__m256i*>(to), value);
}

inline void storeu(int16_t* to, __m256i value) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
}

inline __m256i word_at(const int16_t* words) {
  int32_t pair;
  std::memcpy(&pair, words, 4);
  return _mm256_set1_epi32(pair);
}

inline __m256i dot(__m256i sum, __m256i a, __m256i b) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}

// The high halves of the sums of even lanes and of odd lanes.
inline __m256i high_halves(__m256i even, __m256i odd) {
  return _mm256_blend_epi16(_mm256_srli_epi32(even, 16), odd, 0xaa);
}

// Half a row at a time, so that its inputs stay in registers while the codewords pass.
template <int kPairs>
void build_half(const int16_t* words, int64_t K, const int16_t* x, int16_t* table) {
  const __m256i round = _mm256_set1_epi32(0x8000);
  __m256i even[kPairs], odd[kPairs];
  for (int j = 0; j < kPairs; ++j) {
    even[j] = load(x + 64 * j);
    odd[j] = load(x + 64 * j + 16);
  }
  for (int64_t k = 0; k < K; ++k, words += 2 * kPairs, table += kLanes) {
    __m256i a = round, b = round;
    for (int j = 0; j < kPairs; ++j) {
      const __m256i w = word_at(words + 2 * j);
      a = dot(a, even[j], w);
      b = dot(b, odd[j], w);
    }
    store(table, high_halves(a, b));
  }
}

// Whole rows, where their inputs fit the registers.
template <int kPairs>
void build_row(const int16_t* words, int64_t K, const int16_t* x, int16_t* table) {
  const __m256i round = _mm256_set1_epi32(0x8000);
  __m256i in[kPairs][4];
  for (int j = 0; j < kPairs; ++j) {
    for (int i = 0; i < 4; ++i) in[j][i] = load(x + 64 * j + 16 * i);
  }
  for (int64_t k = 0; k < K; ++k, words += 2 * kPairs, table += kLanes) {
    __m256i a = round, b = round, c = round, d = round;
    for (int j = 0; j < kPairs; ++j) {
      const __m256i w = word_at(words + 2 * j);
      a = dot(a, in[j][0], w);
      b = dot(b, in[j][1], w);
      c = dot(c, in[j][2], w);
      d = dot(d, in[j][3], w);
    }
    store(table, high_halves(a, b));
    store(table + 16, high_halves(c, d));
  }
}

template <int kPairs>
void build_fixed(const int16_t* words, int64_t K, const int16_t* x, int64_t x_stride, int64_t rows,
                 int16_t* const* table) {
  for (int64_t row = 0; row < rows; ++row, x += x_stride) {
    if (kPairs <= 2) {
      build_row<kPairs>(words, K, x, table[row]);
    } else {
      build_half<kPairs>(words, K, x, table[row]);
      build_half<kPairs>(words, K, x + 32, table[row] + 16);
    }
  }
}

void build_any(const int16_t* words, int64_t K, int64_t pairs, const int16_t* x, int64_t x_stride,
               int64_t rows, int16_t* const* table) {
  const __m256i round = _mm256_set1_epi32(0x8000);
  for (int64_t row = 0; row < rows; ++row, x += x_stride) {
    for (int64_t k = 0; k < K; ++k) {
      __m256i a = round, b = round, c = round, d = round;
      for (int64_t j = 0; j < pairs; ++j) {
        const __m256i w = word_at(words + 2 * (k * pairs + j));
        a = dot(a, load(x + 64 * j), w);
        b = dot(b, load(x + 64 * j + 16), w);
        c = dot(c, load(x + 64 * j + 32), w);
        d = dot(d, load(x + 64 * j + 48), w);
      }
      int16_t* to = table[row] + k * kLanes;
      store(to, high_halves(a, b));
      store(to + 16, high_halves(c, d));
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
    default:
      return build_any(words, K, pairs, x, x_stride, rows, table);
  }
}

inline __m256 to_float(__m128i x) { return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(x)); }

inline __m256 to_float(const int16_t* tile) {
  return to_float(_mm_load_si128(reinterpret_cast<const __m128i*>(tile)));
}

// The accumulators of the window's rows of one output.
//
// An entry is one cache line. Its last lanes are of no importance, as many as the largest shift: an
// output's inputs lie in its own row. So a row of outputs is two registers that overlap, lanes 0 to
// 15 and the last 16 that count, and every shifted load stays inside its line.
template <int kRows>
struct Window {
  __m256i low[kRows], high[kRows];

  void clear() {
    for (int v = 0; v < kRows; ++v) low[v] = high[v] = _mm256_setzero_si256();
  }

  void read(const int16_t* tile, int64_t second) {
    for (int v = 0; v < kRows; ++v) {
      low[v] = load(tile + v * kLanes);
      high[v] = loadu(tile + v * kLanes + second);
    }
  }

  void write(int16_t* tile, int64_t second) const {
    for (int v = 0; v < kRows; ++v) {
      store(tile + v * kLanes, low[v]);
      storeu(tile + v * kLanes + second, high[v]);
    }
  }

  void flush(const float* factor, bool first, float* sums, int64_t second) const {
    for (int v = 0; v < kRows; ++v, sums += kLanes, factor += kLanes) {
      const int64_t at[4] = {0, 8, second, second + 8};
      const __m128i x[4] = {_mm256_castsi256_si128(low[v]), _mm256_extracti128_si256(low[v], 1),
                            _mm256_castsi256_si128(high[v]), _mm256_extracti128_si256(high[v], 1)};
      __m256 total[4];  // all of them before the first is stored: they overlap
      for (int i = 0; i < 4; ++i) {
        const __m256 before = first ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + at[i]);
        total[i] = _mm256_fmadd_ps(to_float(x[i]), _mm256_loadu_ps(factor + at[i]), before);
      }
      for (int i = 0; i < 4; ++i) _mm256_storeu_ps(sums + at[i], total[i]);
    }
  }

  // entry: of the row v of the window, in bytes, already shifted.
  void add(int v, const char* entry, int64_t second) {
    const int16_t* lanes = reinterpret_cast<const int16_t*>(entry);
    low[v] = _mm256_add_epi16(low[v], loadu(lanes));
    high[v] = _mm256_add_epi16(high[v], loadu(lanes + second));
#if defined(__GNUC__)
    // One sum after the other, in this order: GCC would add up pairs of entries first, run out of
    // registers and spill addresses.
    __asm__("" : "+x"(low[v]), "+x"(high[v]));
#endif
  }
};

// kX kernel columns, one lane apart and the first not shifted, and kY kernel rows, one table row
// apart. kEdge: the tile is fresh or goes to the sums.
template <int kX, int kY, int kRows, bool kEdge>
void add_fixed(const ConvLookup& l) {
  constexpr int kSecond = 16 - (kX - 1);
  // Bytes, because a code * 8 times the 8 of an address is the offset of its entry.
  const char* table[kRows + kY - 1];
  for (int r = 0; r < kRows + kY - 1; ++r) table[r] = reinterpret_cast<const char*>(l.table[r]);
  const uint16_t* codes = l.codes;
  int16_t* tile = l.tile;
  const int64_t tile_stride = l.tile_stride, planes = l.planes, plane_bytes = 2 * l.plane_stride;
  for (int64_t c = l.outputs; c > 0; --c, tile += tile_stride) {
    Window<kRows> window;
    if (kEdge && l.fresh) {
      window.clear();
    } else {
      window.read(tile, kSecond);
    }
    int64_t plane = 0;
    for (int64_t p = 0; p < planes; ++p, plane += plane_bytes, codes += kX * kY) {
#pragma GCC unroll 8
      for (int y = 0; y < kY; ++y) {
#pragma GCC unroll 8
        for (int i = 0; i < kX; ++i) {
          const int64_t entry = plane + 8 * static_cast<int64_t>(codes[y * kX + i]) + 2 * i;
#pragma GCC unroll 8
          for (int v = 0; v < kRows; ++v) window.add(v, table[v + y] + entry, kSecond);
        }
      }
    }
    if (kEdge && l.sums != nullptr) {
      window.flush(l.factor, l.first, l.sums + (tile - l.tile), kSecond);
    } else {
      window.write(tile, kSecond);
    }
  }
}

template <int kRows>
void add_any(const ConvLookup& l) {
  const int64_t second = 16 - (l.first_lane + (l.nx - 1) * l.lane_step);
  const uint16_t* codes = l.codes;
  int16_t* tile = l.tile;
  for (int64_t c = 0; c < l.outputs; ++c, tile += l.tile_stride) {
    Window<kRows> window;
    if (l.fresh) {
      window.clear();
    } else {
      window.read(tile, second);
    }
    int64_t plane = 2 * l.first_lane;
    for (int p = 0; p < l.planes; ++p, plane += 2 * l.plane_stride) {
      for (int y = 0; y < l.ny; ++y, codes += l.nx) {
        const char* table[kRows];
        for (int v = 0; v < kRows; ++v) {
          table[v] = reinterpret_cast<const char*>(l.table[v + y * l.row_step]) + plane;
        }
        for (int i = 0; i < l.nx; ++i) {
          const int64_t entry = 8 * static_cast<int64_t>(codes[i]) + 2 * i * l.lane_step;
          for (int v = 0; v < kRows; ++v) window.add(v, table[v] + entry, second);
        }
      }
    }
    if (l.sums != nullptr) {
      window.flush(l.factor, l.first, l.sums + (tile - l.tile), second);
    } else {
      window.write(tile, second);
    }
  }
}

template <int kX, int kY, int kRows>
void add_rows(const ConvLookup& l) {
  if (l.fresh || l.sums != nullptr) return add_fixed<kX, kY, kRows, true>(l);
  add_fixed<kX, kY, kRows, false>(l);
}

template <int kX, int kY>
void add_window(const ConvLookup& l) {
  switch (l.rows) {
    case 1:
      return add_rows<kX, kY, 1>(l);
    case 2:
      return add_rows<kX, kY, 2>(l);
    case 3:
      return add_rows<kX, kY, 3>(l);
    default:
      return add_rows<kX, kY, 4>(l);
  }
}

// Kernels of 1x1, 3x3 and 5x5, and the phases of strided ones, have loops of their own.
void add(const ConvLookup& l) {
  const bool dense =
      (l.row_step == 1 || l.ny == 1) && (l.lane_step == 1 || l.nx == 1) && l.first_lane == 0;
  switch (dense ? 16 * l.ny + l.nx : 0) {
    case 0x11:
      return add_window<1, 1>(l);
    case 0x22:
      return add_window<2, 2>(l);
    case 0x23:
      return add_window<3, 2>(l);
    case 0x32:
      return add_window<2, 3>(l);
    case 0x33:
      return add_window<3, 3>(l);
    case 0x34:
      return add_window<4, 3>(l);
    case 0x43:
      return add_window<3, 4>(l);
    case 0x44:
      return add_window<4, 4>(l);
    case 0x55:
      return add_window<5, 5>(l);
    default:
      break;
  }
  switch (l.rows) {
    case 1:
      return add_any<1>(l);
    case 2:
      return add_any<2>(l);
    case 3:
      return add_any<3>(l);
    default:
      return add_any<4>(l);
  }
}

inline __m256 activate(__m256 x, Activation activation) {
  // max(bound, x) gives x when x is NaN.
  if (activation == Activation::kRelu || activation == Activation::kRelu6) {
    x = _mm256_max_ps(_mm256_setzero_ps(), x);
  }
  if (activation == Activation::kRelu6) x = _mm256_min_ps(_mm256_set1_ps(6.0f), x);
  if (activation == Activation::kReluN1To1) {
    x = _mm256_min_ps(_mm256_set1_ps(1.0f), _mm256_max_ps(_mm256_set1_ps(-1.0f), x));
  }
  return x;
}

// r[i][j] = r[j][i], 8x8 floats.
inline void transpose(__m256* r) {
  __m256 t[8];
  for (int i = 0; i < 8; i += 4) {
    const __m256 a = _mm256_unpacklo_ps(r[i], r[i + 1]), b = _mm256_unpackhi_ps(r[i], r[i + 1]);
    const __m256 c = _mm256_unpacklo_ps(r[i + 2], r[i + 3]),
                 d = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
    t[i] = _mm256_shuffle_ps(a, c, 0x44);
    t[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
    t[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
    t[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
    r[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
  }
}

// Output c in the 8 lanes at `at` of tile and sums.
template <bool kSums, bool kScale>
inline __m256 finished(const ConvFinish& f, int64_t c, int64_t at, __m256 factor, __m256 bias) {
  const __m256 before = kSums ? _mm256_load_ps(f.sums + at) : _mm256_setzero_ps();
  const __m256 sum = _mm256_fmadd_ps(to_float(f.tile + at), factor, before);
  const __m256 total =
      kScale ? _mm256_fmadd_ps(sum, _mm256_set1_ps(f.scale[c]), bias) : _mm256_add_ps(sum, bias);
  return activate(total, f.activation);
}

// NaN where either is; the instruction's answer is then its second operand.
inline __m256 larger(__m256 a, __m256 b) {
  return _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}

// `count` outputs, 1 to 8, from output c on, in 8 lanes.
template <bool kSums, bool kScale, bool kPooled>
inline void finish_square(const ConvFinish& f, int64_t c, int count, int lane) {
  const __m256 factor = _mm256_load_ps(f.factor + lane);
  __m256 r[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    const int64_t output = c + (i < count ? i : count - 1);
    const int64_t at = output * f.tile_stride + lane;
    const __m256 bias = _mm256_set1_ps(f.bias != nullptr ? f.bias[output] : 0.0f);
    r[i] = finished<kSums, kScale>(f, output, at, factor, bias);
    if (kPooled && f.below != 0) {
      r[i] = larger(r[i], finished<kSums, kScale>(f, output, at + f.below, factor, bias));
    }
  }
  transpose(r);
  const __m256i mask = first_lanes(count);
#pragma GCC unroll 8
  for (int i = 0; i < 8; i += kPooled ? 2 : 1) {
    float* pixel = f.pixels[lane + i];
    if (pixel == nullptr) continue;
    if (kPooled && f.pixels[lane + i + 1] != nullptr) r[i] = larger(r[i], r[i + 1]);
    if (count == 8) {
      _mm256_storeu_ps(pixel + c, r[i]);
    } else {
      _mm256_maskstore_ps(pixel + c, mask, r[i]);
    }
  }
}

template <bool kSums, bool kScale, bool kPooled>
void finish_fixed(const ConvFinish& from) {
  const ConvFinish f = from;  // a copy that stores to pixels cannot change
  int64_t c = 0;
  for (; c + 8 <= f.outputs; c += 8) {
    for (int lane = 0; lane < kLanes; lane += 8) {
      finish_square<kSums, kScale, kPooled>(f, c, 8, lane);
    }
  }
  const int left = static_cast<int>(f.outputs - c);
  if (left == 0) return;
  for (int lane = 0; lane < kLanes; lane += 8) {
    finish_square<kSums, kScale, kPooled>(f, c, left, lane);
  }
}

template <bool kPooled>
void finish_any(const ConvFinish& f) {
  if (f.sums != nullptr) {
    return f.scale != nullptr ? finish_fixed<true, true, kPooled>(f)
                              : finish_fixed<true, false, kPooled>(f);
  }
  return f.scale != nullptr ? finish_fixed<false, true, kPooled>(f)
                            : finish_fixed<false, false, kPooled>(f);
}

void finish(const ConvFinish& f) { return f.pooled ? finish_any<true>(f) : finish_any<false>(f); }

int window(int nx) { return nx > 0 ? kMaxWindow : 0; }

constexpr ConvOps kOps = {moments, patches, quantize, build, conv_pack_each, add, finish, window};

}  // namespace

const ConvOps* conv_ops_avx2() { return &kOps; }

}  // namespace qcnn
#else
namespace qcnn {
const ConvOps* conv_ops_avx2() { return nullptr; }
}  // namespace qcnn
#endif
