#include "core/conv_ops.h"

#if defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) && \
    defined(__AVX512VNNI__)
#include <immintrin.h>

namespace qcnn {
namespace {
inline __m512i dot(__m512i sum, __m512i a, __m512i b) { return _mm512_dpwssd_epi32(sum, a, b); }
}  // namespace
}  // namespace qcnn

#include "core/qconv_avx512-inl.h"

namespace qcnn {
const ConvOps* conv_ops_avx512_vnni() { return &kOps; }
}  // namespace qcnn
#else
namespace qcnn {
const ConvOps* conv_ops_avx512_vnni() { return nullptr; }
}  // namespace qcnn
#endif
