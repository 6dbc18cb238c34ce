#include "core/lrn.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#if defined(__GNUC__) && !defined(__clang__)
// GCC's own header leaves operands undefined where no lane takes them (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

namespace qcnn {
namespace {

struct Vec {
  static constexpr int kLanes = 16;
  static constexpr unsigned kAll = 0xffff;
  using F = __m512;
  using I = __m512i;
  using M = __mmask16;

  static inline F load(const float* p) { return _mm512_loadu_ps(p); }
  static inline void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  // Lanes that are masked off are not touched, whatever they point at.
  static inline F load_part(const float* p, int begin, int end) {
    return _mm512_maskz_loadu_ps(static_cast<M>((1u << end) - (1u << begin)), p);
  }
  static inline void store_part(float* p, int count, F x) {
    _mm512_mask_storeu_ps(p, static_cast<M>((1u << count) - 1), x);
  }
  static inline F set(float x) { return _mm512_set1_ps(x); }
  static inline F add(F a, F b) { return _mm512_add_ps(a, b); }
  static inline F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  // 14 bits, doubled by one step of Newton's method.
  static inline F rsqrt(F s) {
    const F y = _mm512_rsqrt14_ps(s);
    const F half = _mm512_mul_ps(_mm512_mul_ps(s, _mm512_set1_ps(0.5f)), y);
    return _mm512_mul_ps(y, _mm512_fnmadd_ps(half, y, _mm512_set1_ps(1.5f)));
  }
  static inline F max(F a, F b) {
    // The instruction's answer is b where either is NaN.
    return _mm512_mask_mov_ps(_mm512_max_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
  }
  template <int k>
  static inline F shift(F a, F b) {
    return as_float(_mm512_alignr_epi32(as_int(b), as_int(a), k));
  }
  static inline M within(F x, float low, float high) {
    const M above = _mm512_cmp_ps_mask(x, _mm512_set1_ps(low), _CMP_GE_OQ);
    return _mm512_mask_cmp_ps_mask(above, x, _mm512_set1_ps(high), _CMP_LE_OQ);
  }
  static inline M both(M a, M b) { return static_cast<M>(a & b); }
  static inline unsigned bits(M m) { return m; }
  static inline I as_int(F x) { return _mm512_castps_si512(x); }
  static inline F as_float(I x) { return _mm512_castsi512_ps(x); }
  static inline I set_int(int x) { return _mm512_set1_epi32(x); }
  static inline I add_int(I a, I b) { return _mm512_add_epi32(a, b); }
  static inline I sub_int(I a, I b) { return _mm512_sub_epi32(a, b); }
  static inline I shift_left_23(I x) { return _mm512_slli_epi32(x, 23); }
  static inline I shift_right_23(I x) { return _mm512_srai_epi32(x, 23); }
  static inline F to_float(I x) { return _mm512_cvtepi32_ps(x); }
};

}  // namespace
}  // namespace qcnn

#include "core/lrn-inl.h"

namespace qcnn {
const LrnFunction lrn_avx512 = lrn;
const MaxFunction max_avx512 = max;
}  // namespace qcnn
#else
namespace qcnn {
const LrnFunction lrn_avx512 = nullptr;
const MaxFunction max_avx512 = nullptr;
}  // namespace qcnn
#endif
