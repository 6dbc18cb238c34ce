#include "core/lrn.h"

#if defined(__AVX2__) && (defined(__FMA__) || defined(_MSC_VER))
#include <immintrin.h>

namespace qcnn {
namespace {

struct Vec {
  static constexpr int kLanes = 8;
  static constexpr unsigned kAll = 0xff;
  using F = __m256;
  using I = __m256i;
  using M = __m256;

  static inline I lanes(int begin, int end) {
    const I lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_and_si256(_mm256_cmpgt_epi32(lane, _mm256_set1_epi32(begin - 1)),
                            _mm256_cmpgt_epi32(_mm256_set1_epi32(end), lane));
  }
  static inline F load(const float* p) { return _mm256_loadu_ps(p); }
  static inline void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  // Lanes that are masked off are not touched, whatever they point at.
  static inline F load_part(const float* p, int begin, int end) {
    return _mm256_maskload_ps(p, lanes(begin, end));
  }
  static inline void store_part(float* p, int count, F x) {
    _mm256_maskstore_ps(p, lanes(0, count), x);
  }
  static inline F set(float x) { return _mm256_set1_ps(x); }
  static inline F add(F a, F b) { return _mm256_add_ps(a, b); }
  static inline F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static inline F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static inline F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  // 12 bits, doubled by one step of Newton's method.
  static inline F rsqrt(F s) {
    const F y = _mm256_rsqrt_ps(s);
    const F half = _mm256_mul_ps(_mm256_mul_ps(s, _mm256_set1_ps(0.5f)), y);
    return _mm256_mul_ps(y, _mm256_fnmadd_ps(half, y, _mm256_set1_ps(1.5f)));
  }
  static inline F max(F a, F b) {
    // The instruction's answer is b where either is NaN.
    return _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  }
  template <int k>
  static inline F shift(F a, F b) {
    // Within halves only; `middle` is the upper half of a and the lower one of b.
    const I middle = _mm256_permute2x128_si256(as_int(a), as_int(b), 0x21);
    return as_float(k < 4 ? _mm256_alignr_epi8(middle, as_int(a), 4 * k % 16)
                          : _mm256_alignr_epi8(as_int(b), middle, 4 * k % 16));
  }
  static inline M within(F x, float low, float high) {
    return _mm256_and_ps(_mm256_cmp_ps(x, _mm256_set1_ps(low), _CMP_GE_OQ),
                         _mm256_cmp_ps(x, _mm256_set1_ps(high), _CMP_LE_OQ));
  }
  static inline M both(M a, M b) { return _mm256_and_ps(a, b); }
  static inline unsigned bits(M m) { return static_cast<unsigned>(_mm256_movemask_ps(m)); }
  static inline I as_int(F x) { return _mm256_castps_si256(x); }
  static inline F as_float(I x) { return _mm256_castsi256_ps(x); }
  static inline I set_int(int x) { return _mm256_set1_epi32(x); }
  static inline I add_int(I a, I b) { return _mm256_add_epi32(a, b); }
  static inline I sub_int(I a, I b) { return _mm256_sub_epi32(a, b); }
  static inline I shift_left_23(I x) { return _mm256_slli_epi32(x, 23); }
  static inline I shift_right_23(I x) { return _mm256_srai_epi32(x, 23); }
  static inline F to_float(I x) { return _mm256_cvtepi32_ps(x); }
};

}  // namespace
}  // namespace qcnn

#include "core/lrn-inl.h"

namespace qcnn {
const LrnFunction lrn_avx2 = lrn;
const MaxFunction max_avx2 = max;
}  // namespace qcnn
#else
namespace qcnn {
const LrnFunction lrn_avx2 = nullptr;
const MaxFunction max_avx2 = nullptr;
}  // namespace qcnn
#endif
