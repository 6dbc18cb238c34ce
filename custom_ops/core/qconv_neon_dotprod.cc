// The fast convolution's primitives for ARM CPUs that calculate with half precision floats
// (asimdhp: since ARMv8.2 in Cortex-A55 and A76 and all later ones, Apple's since A11).
//
// Inputs, tables and tiles, which the algorithm takes for int16, are float16 here; nobody but these
// primitives looks into them. One FMLA does the work of two SMLAL, and has two pipes where SMLAL
// has one (Cortex-A76): tables are built up to four times faster, and faster than by SDOT on two
// planes of int8 (docs/performance.md). Eleven bits of every entry and sum are no worse than the
// rounding of entries to int16: relative to a layer's response both are about 0.1 %.
#include "core/conv_ops.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_FP16_VECTOR_ARITHMETIC)
#include <arm_neon.h>

namespace qcnn {
namespace {

using Vec = float16x8_t;

// Codewords are divided by 2^6. On the way to a complete sum, which is within int16, sums modulo
// 2^16 may leave it, and these must not overflow instead: no sum of n products exceeds 2^15 sqrt(n)
// / 2 in the units of int16, which is below 2^22, the end of float16 times 2^6, for n up to 65536.
constexpr int kWordShift = 6;
constexpr float kUnit = 1 << kWordShift;

inline Vec zero() { return vreinterpretq_f16_s16(vdupq_n_s16(0)); }
inline Vec load(const int16_t* from) { return vreinterpretq_f16_s16(vld1q_s16(from)); }
inline void store(int16_t* to, Vec v) { vst1q_s16(to, vreinterpretq_s16_f16(v)); }
inline Vec plus(Vec a, Vec b) { return vaddq_f16(a, b); }
template <int kShift>
inline Vec rotate(Vec a, Vec b) {
  return vextq_f16(a, b, kShift);
}
inline void widen(Vec v, float32x4_t* out) {
  out[0] = vcvt_f32_f16(vget_low_f16(v));
  out[1] = vcvt_high_f32_f16(v);
}

void quantize(const float* const* pixels, int64_t first, const float* scale, int64_t width,
              int16_t* out);
void build(const int16_t* words, int64_t K, int64_t pairs, const int16_t* x, int64_t x_stride,
           int64_t rows, int16_t* const* table);

}  // namespace
}  // namespace qcnn

#define QCNN_PLUS "fadd"
#include "core/qconv_neon-inl.h"

namespace qcnn {
namespace {

// r[i][j] = r[j][i], 8x8.
inline void transpose(Vec* r) {
  const auto trn32 = [](Vec a, Vec b, int odd) {
    const uint32x4_t x = vreinterpretq_u32_f16(a), y = vreinterpretq_u32_f16(b);
    return vreinterpretq_f16_u32(odd ? vtrn2q_u32(x, y) : vtrn1q_u32(x, y));
  };
  const auto trn64 = [](Vec a, Vec b, int odd) {
    const uint64x2_t x = vreinterpretq_u64_f16(a), y = vreinterpretq_u64_f16(b);
    return vreinterpretq_f16_u64(odd ? vtrn2q_u64(x, y) : vtrn1q_u64(x, y));
  };
  Vec s[8], t[8];
  for (int i = 0; i < 8; i += 2) {
    s[i] = vtrn1q_f16(r[i], r[i + 1]);
    s[i + 1] = vtrn2q_f16(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; ++i) {
    const int base = i / 4 * 4, from = base + i % 2;
    t[i] = trn32(s[from], s[from + 2], i / 2 % 2);
  }
  for (int i = 0; i < 8; ++i) r[i] = trn64(t[i % 4], t[i % 4 + 4], i / 4);
}

// out[j / 2][j % 2][lane] = pixels[lane][first + j] * scale[lane] * 2^-16: the divisor of the
// entries is in here.
void quantize(const float* const* pixels, int64_t first, const float* scale, int64_t width,
              int16_t* out) {
  for (int64_t j = 0; j < width; j += 8) {
    const int64_t left = width - j < 8 ? width - j : 8;
    const int64_t even = (left + 1) / 2 * 2;
    for (int lane = 0; lane < kLanes; lane += 8) {
      Vec r[8];
      for (int i = 0; i < 8; ++i) {
        float32x4_t x[2];
        scaled(pixels[lane + i] + first + j, left, scale[lane + i] * 0x1p-16f, x);
        r[i] = vcvt_high_f16_f32(vcvt_f16_f32(x[0]), x[1]);
      }
      transpose(r);
      for (int64_t i = 0; i < even; ++i) store(out + (j + i) * kLanes + lane, r[i]);
    }
  }
}

// Sums of lanes 8 r to 8 r + 7 of a codeword.
template <int kD, int kRegs, int kJ = 0>
inline void multiply(const Vec (*x)[kRegs], const Vec* word, Vec* a) {
  if constexpr (kJ < kD) {
    for (int r = 0; r < kRegs; ++r) {
      if constexpr (kJ == 0) {
        a[r] = vmulq_laneq_f16(x[0][r], word[0], 0);
      } else {
        a[r] = vfmaq_laneq_f16(a[r], x[kJ][r], word[kJ / 8], kJ % 8);
      }
    }
    multiply<kD, kRegs, kJ + 1>(x, word, a);
  }
}

inline float16_t half(int16_t word) {
  return static_cast<float16_t>(static_cast<float>(word) / kUnit);
}

template <int kD, int kRegs, int kWords>
inline void entries(const float16_t* words, const Vec (*x)[kRegs], int16_t* table) {
  constexpr int kOctets = (kD + 7) / 8;
  Vec a[kWords][kRegs];
  for (int w = 0; w < kWords; ++w) {
    Vec word[kOctets];
    for (int i = 0; i < kOctets; ++i) word[i] = vld1q_f16(words + (kOctets * w + i) * 8);
    multiply<kD, kRegs>(x, word, a[w]);
  }
  for (int w = 0; w < kWords; ++w) {
    for (int r = 0; r < kRegs; ++r) store(table + kLanes * w + 8 * r, a[w][r]);
  }
}

inline constexpr int kMaxK = 256;

// kRegs * 8 lanes at a time, so that the inputs stay in registers; kWords codewords, so that enough
// sums are on the way to hide the latency of the multiplication on a core that runs in order.
template <int kD>
void build_fixed(const int16_t* words, int64_t K, const int16_t* x, int64_t x_stride, int64_t rows,
                 int16_t* const* table) {
  constexpr int kRegs = kD <= 4 ? 4 : kD <= 8 ? 2 : 1, kWords = kD <= 4 ? 2 : 4;
  // Codewords in whole registers. Converted once: on Neoverse N1 that takes four cycles a register.
  constexpr int kPadded = (kD + 7) / 8 * 8;
  alignas(16) float16_t halves[kMaxK * kPadded];
  for (int64_t k = 0; k < K; ++k) {
    const int16_t* word = words + k * kD;
    float16_t* to = halves + k * kPadded;
    if (k * kD + kPadded <= K * kD) {  // the rest of the register is the next codeword's
      for (int j = 0; j < kPadded; j += 8)
        vst1q_f16(to + j, vcvtq_n_f16_s16(vld1q_s16(word + j), kWordShift));
    } else {
      for (int j = 0; j < kD; ++j) to[j] = half(word[j]);
      for (int j = kD; j < kPadded; ++j) to[j] = 0;
    }
  }
  for (int64_t row = 0; row < rows; ++row, x += x_stride) {
    for (int lane = 0; lane < kLanes; lane += 8 * kRegs) {
      Vec in[kD][kRegs];
      for (int j = 0; j < kD; ++j) {
        for (int r = 0; r < kRegs; ++r) in[j][r] = load(x + j * kLanes + lane + 8 * r);
      }
      int64_t k = 0;
      for (; k + kWords <= K; k += kWords) {
        entries<kD, kRegs, kWords>(halves + k * kPadded, in, table[row] + k * kLanes + lane);
      }
      for (; k < K; ++k) {
        entries<kD, kRegs, 1>(halves + k * kPadded, in, table[row] + k * kLanes + lane);
      }
    }
  }
}

void build_any(const int16_t* words, int64_t K, int64_t pairs, const int16_t* x, int64_t x_stride,
               int64_t rows, int16_t* const* table) {
  for (int64_t row = 0; row < rows; ++row, x += x_stride) {
    for (int64_t k = 0; k < K; ++k) {
      const int16_t* word = words + 2 * pairs * k;
      Vec a[4] = {zero(), zero(), zero(), zero()};
      for (int64_t j = 0; j < 2 * pairs; ++j) {
        const Vec factor = vdupq_n_f16(half(word[j]));
        for (int r = 0; r < 4; ++r) a[r] = vfmaq_f16(a[r], load(x + j * kLanes + 8 * r), factor);
      }
      for (int r = 0; r < 4; ++r) store(table[row] + k * kLanes + 8 * r, a[r]);
    }
  }
}

void build(const int16_t* words, int64_t K, int64_t pairs, const int16_t* x, int64_t x_stride,
           int64_t rows, int16_t* const* table) {
  if (K > kMaxK) return build_any(words, K, pairs, x, x_stride, rows, table);
  switch (pairs) {
    case 1:
      return build_fixed<2>(words, K, x, x_stride, rows, table);
    case 2:
      return build_fixed<4>(words, K, x, x_stride, rows, table);
    case 3:
      return build_fixed<6>(words, K, x, x_stride, rows, table);
    case 4:
      return build_fixed<8>(words, K, x, x_stride, rows, table);
    case 5:
      return build_fixed<10>(words, K, x, x_stride, rows, table);
    case 8:
      return build_fixed<16>(words, K, x, x_stride, rows, table);
    default:
      return build_any(words, K, pairs, x, x_stride, rows, table);
  }
}

}  // namespace

const ConvOps* conv_ops_neon_dotprod() { return &kOps; }

}  // namespace qcnn
#else
namespace qcnn {
const ConvOps* conv_ops_neon_dotprod() { return nullptr; }
}  // namespace qcnn
#endif
