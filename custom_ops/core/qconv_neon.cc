// The fast convolution's primitives for every ARM CPU with NEON: aarch64 and armv7.
#include "core/conv_ops.h"

#if defined(__ARM_NEON)
#include <arm_neon.h>

namespace qcnn {
namespace {

using Vec = int16x8_t;
constexpr float kUnit = 1;

inline Vec zero() { return vdupq_n_s16(0); }
inline Vec load(const int16_t* from) { return vld1q_s16(from); }
inline void store(int16_t* to, Vec v) { vst1q_s16(to, v); }
inline Vec plus(Vec a, Vec b) { return vaddq_s16(a, b); }
template <int kShift>
inline Vec rotate(Vec a, Vec b) {
  return vextq_s16(a, b, kShift);
}
inline void widen(Vec v, float32x4_t* out) {
  out[0] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(v)));
  out[1] = vcvtq_f32_s32(vmovl_s16(vget_high_s16(v)));
}

void quantize(const float* const* pixels, int64_t first, const float* scale, int64_t width,
              int16_t* out);
void build(const int16_t* words, int64_t K, int64_t pairs, const int16_t* x, int64_t x_stride,
           int64_t rows, int16_t* const* table);

}  // namespace
}  // namespace qcnn

#define QCNN_PLUS "add"
#include "core/qconv_neon-inl.h"

namespace qcnn {
namespace {

inline int32x4_t round_to_int(float32x4_t x) {
#if defined(__aarch64__)
  return vcvtnq_s32_f32(x);
#else
  // 1.5 * 2^23: the sum's last bit is 1, and the values are far smaller.
  const float32x4_t magic = vdupq_n_f32(12582912.0f);
  return vsubq_s32(vreinterpretq_s32_f32(vaddq_f32(x, magic)), vreinterpretq_s32_f32(magic));
#endif
}

// Four lanes and eight channels at a time: a transposition of pairs of channels.
void quantize(const float* const* pixels, int64_t first, const float* scale, int64_t width,
              int16_t* out) {
  for (int64_t j = 0; j < width; j += 8) {
    const int64_t left = width - j < 8 ? width - j : 8;
    const int64_t pairs = (left + 1) / 2;
    for (int lane = 0; lane < kLanes; lane += 4) {
      int32x4_t r[4];  // of a lane, four pairs
      for (int i = 0; i < 4; ++i) {
        float32x4_t x[2];
        scaled(pixels[lane + i] + first + j, left, scale[lane + i], x);
        r[i] = vreinterpretq_s32_s16(
            vcombine_s16(vqmovn_s32(round_to_int(x[0])), vqmovn_s32(round_to_int(x[1]))));
      }
      const int32x4x2_t ab = vtrnq_s32(r[0], r[1]), cd = vtrnq_s32(r[2], r[3]);
      int16_t* to = out + j * kLanes + 2 * lane;
      const auto put = [](int16_t* at, int32x2_t a, int32x2_t b) {
        vst1q_s16(at, vreinterpretq_s16_s32(vcombine_s32(a, b)));
      };
      put(to, vget_low_s32(ab.val[0]), vget_low_s32(cd.val[0]));
      if (pairs > 1) put(to + 64, vget_low_s32(ab.val[1]), vget_low_s32(cd.val[1]));
      if (pairs > 2) put(to + 128, vget_high_s32(ab.val[0]), vget_high_s32(cd.val[0]));
      if (pairs > 3) put(to + 192, vget_high_s32(ab.val[1]), vget_high_s32(cd.val[1]));
    }
  }
}

// a[2 r], a[2 r + 1]: sums of lanes 8 r to 8 r + 7.
template <int kD, int kRegs, int kJ = 0>
inline void multiply(const int16x8_t (*x)[kRegs], const int16x4_t* word, int32x4_t* a) {
  if constexpr (kJ < kD) {
    for (int r = 0; r < kRegs; ++r) {
      const int16x4_t low = vget_low_s16(x[kJ][r]);
#if defined(__aarch64__)
      if constexpr (kJ == 0) {
        a[2 * r] = vmull_lane_s16(low, word[0], 0);
        a[2 * r + 1] = vmull_high_lane_s16(x[0][r], word[0], 0);
      } else {
        a[2 * r] = vmlal_lane_s16(a[2 * r], low, word[kJ / 4], kJ % 4);
        a[2 * r + 1] = vmlal_high_lane_s16(a[2 * r + 1], x[kJ][r], word[kJ / 4], kJ % 4);
      }
#else
      const int16x4_t high = vget_high_s16(x[kJ][r]);
      if constexpr (kJ == 0) {
        a[2 * r] = vmull_lane_s16(low, word[0], 0);
        a[2 * r + 1] = vmull_lane_s16(high, word[0], 0);
      } else {
        a[2 * r] = vmlal_lane_s16(a[2 * r], low, word[kJ / 4], kJ % 4);
        a[2 * r + 1] = vmlal_lane_s16(a[2 * r + 1], high, word[kJ / 4], kJ % 4);
      }
#endif
    }
    multiply<kD, kRegs, kJ + 1>(x, word, a);
  }
}

// Rounding is in the narrowing shift.
inline int16x8_t high_halves(int32x4_t low_lanes, int32x4_t high_lanes) {
#if defined(__aarch64__)
  return vrshrn_high_n_s32(vrshrn_n_s32(low_lanes, 16), high_lanes, 16);
#else
  return vcombine_s16(vrshrn_n_s32(low_lanes, 16), vrshrn_n_s32(high_lanes, 16));
#endif
}

template <int kD, int kRegs, int kWords>
inline void entries(const int16_t* words, const int16x8_t (*x)[kRegs], int16_t* table) {
  constexpr int kQuads = (kD + 3) / 4;
  int32x4_t a[kWords][2 * kRegs];
  for (int w = 0; w < kWords; ++w) {
    int16x4_t word[kQuads];
    for (int i = 0; i < kQuads; ++i) word[i] = vld1_s16(words + (kQuads * w + i) * 4);
    multiply<kD, kRegs>(x, word, a[w]);
  }
  for (int w = 0; w < kWords; ++w) {
    for (int r = 0; r < kRegs; ++r) {
      store(table + kLanes * w + 8 * r, high_halves(a[w][2 * r], a[w][2 * r + 1]));
    }
  }
}

inline constexpr int kMaxK = 256;

// kRegs * 8 lanes at a time: as many as leave the inputs in registers.
template <int kD>
void build_fixed(const int16_t* words, int64_t K, const int16_t* x, int64_t x_stride, int64_t rows,
                 int16_t* const* table) {
#if defined(__aarch64__)
  constexpr int kRegs = kD <= 4 ? 4 : kD <= 8 ? 2 : 1, kWords = kD <= 4 ? 1 : 2;
#else
  constexpr int kRegs = kD <= 4 ? 2 : 1, kWords = 1;
#endif
  // Codewords in whole registers.
  constexpr int kPadded = (kD + 3) / 4 * 4;
  alignas(16) int16_t padded[kD == kPadded ? 4 : kMaxK * kPadded];
  if (kD != kPadded) {
    for (int64_t k = 0; k < K; ++k) {
      for (int j = 0; j < kD; ++j) padded[k * kPadded + j] = words[k * kD + j];
      for (int j = kD; j < kPadded; ++j) padded[k * kPadded + j] = 0;
    }
    words = padded;
  }
  for (int64_t row = 0; row < rows; ++row, x += x_stride) {
    for (int lane = 0; lane < kLanes; lane += 8 * kRegs) {
      int16x8_t in[kD][kRegs];
      for (int j = 0; j < kD; j += 2) {
        for (int r = 0; r < kRegs; ++r) {
          const int16x8x2_t pair = vld2q_s16(x + j * kLanes + 2 * (lane + 8 * r));
          in[j][r] = pair.val[0];
          in[j + 1][r] = pair.val[1];
        }
      }
      int64_t k = 0;
      for (; k + kWords <= K; k += kWords) {
        entries<kD, kRegs, kWords>(words + k * kPadded, in, table[row] + k * kLanes + lane);
      }
      for (; k < K; ++k) {
        entries<kD, kRegs, 1>(words + k * kPadded, in, table[row] + k * kLanes + lane);
      }
    }
  }
}

void build_any(const int16_t* words, int64_t K, int64_t pairs, const int16_t* x, int64_t x_stride,
               int64_t rows, int16_t* const* table) {
  for (int64_t row = 0; row < rows; ++row, x += x_stride) {
    for (int64_t k = 0; k < K; ++k) {
      const int16_t* word = words + 2 * pairs * k;
      for (int lane = 0; lane < kLanes; lane += 8) {
        int32x4_t low = vdupq_n_s32(0), high = low;
        for (int64_t j = 0; j < pairs; ++j) {
          const int16x8x2_t in = vld2q_s16(x + j * 2 * kLanes + 2 * lane);
          for (int h = 0; h < 2; ++h) {
            low = vmlal_n_s16(low, vget_low_s16(in.val[h]), word[2 * j + h]);
            high = vmlal_n_s16(high, vget_high_s16(in.val[h]), word[2 * j + h]);
          }
        }
        store(table[row] + k * kLanes + lane, high_halves(low, high));
      }
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

const ConvOps* conv_ops_neon() { return &kOps; }

}  // namespace qcnn
#else
namespace qcnn {
const ConvOps* conv_ops_neon() { return nullptr; }
}  // namespace qcnn
#endif
