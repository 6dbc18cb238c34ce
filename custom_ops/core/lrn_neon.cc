#include "core/lrn.h"

#if defined(__ARM_NEON) || defined(_M_ARM64)
#include <arm_neon.h>

namespace qcnn {
namespace {

struct Vec {
  static constexpr int kLanes = 4;
  static constexpr unsigned kAll = 0xf;
  using F = float32x4_t;
  using I = int32x4_t;
  using M = uint32x4_t;

  static inline F load(const float* p) { return vld1q_f32(p); }
  static inline void store(float* p, F x) { vst1q_f32(p, x); }
  static inline F load_part(const float* p, int begin, int end) {
    float lanes[4] = {0, 0, 0, 0};
    for (int i = begin; i < end; ++i) lanes[i] = p[i];
    return vld1q_f32(lanes);
  }
  static inline void store_part(float* p, int count, F x) {
    float lanes[4];
    vst1q_f32(lanes, x);
    for (int i = 0; i < count; ++i) p[i] = lanes[i];
  }
  static inline F set(float x) { return vdupq_n_f32(x); }
  static inline F add(F a, F b) { return vaddq_f32(a, b); }
  static inline F sub(F a, F b) { return vsubq_f32(a, b); }
  static inline F mul(F a, F b) { return vmulq_f32(a, b); }
  static inline F fma(F a, F b, F c) {
#if defined(__aarch64__) || defined(_M_ARM64)
    return vfmaq_f32(c, a, b);
#else
    return vmlaq_f32(c, a, b);  // not every armv7 with NEON has a fused one
#endif
  }
  // 8 bits, doubled twice by Newton's method; vrsqrts is (3 - a * b) / 2.
  static inline F rsqrt(F s) {
    F y = vrsqrteq_f32(s);
    y = vmulq_f32(y, vrsqrtsq_f32(vmulq_f32(s, y), y));
    return vmulq_f32(y, vrsqrtsq_f32(vmulq_f32(s, y), y));
  }
  static inline F max(F a, F b) { return vmaxq_f32(a, b); }
  template <int k>
  static inline F shift(F a, F b) {
    return vextq_f32(a, b, k);
  }
  static inline M within(F x, float low, float high) {
    return vandq_u32(vcgeq_f32(x, vdupq_n_f32(low)), vcleq_f32(x, vdupq_n_f32(high)));
  }
  static inline M both(M a, M b) { return vandq_u32(a, b); }
  static inline unsigned bits(M m) {
    // 16 bits a lane, so that the usual answer, all of them, is one comparison.
    const uint16x4_t narrow = vmovn_u32(m);
    const uint64_t all = vget_lane_u64(vreinterpret_u64_u16(narrow), 0);
    if (all == ~uint64_t{0}) return kAll;
    return static_cast<unsigned>((all & 1) | (all >> 15 & 2) | (all >> 30 & 4) | (all >> 45 & 8));
  }
  static inline I as_int(F x) { return vreinterpretq_s32_f32(x); }
  static inline F as_float(I x) { return vreinterpretq_f32_s32(x); }
  static inline I set_int(int x) { return vdupq_n_s32(x); }
  static inline I add_int(I a, I b) { return vaddq_s32(a, b); }
  static inline I sub_int(I a, I b) { return vsubq_s32(a, b); }
  static inline I shift_left_23(I x) { return vshlq_n_s32(x, 23); }
  static inline I shift_right_23(I x) { return vshrq_n_s32(x, 23); }
  static inline F to_float(I x) { return vcvtq_f32_s32(x); }
};

}  // namespace
}  // namespace qcnn

#include "core/lrn-inl.h"

namespace qcnn {
const LrnFunction lrn_neon = lrn;
const MaxFunction max_neon = max;
}  // namespace qcnn
#else
namespace qcnn {
const LrnFunction lrn_neon = nullptr;
const MaxFunction max_neon = nullptr;
}  // namespace qcnn
#endif
