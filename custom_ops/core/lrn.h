// Local response normalization: pixels [count][shape.channels], each on its own. Input and output
// do not overlap. And the maximum of pixels, for the max pooling behind it. The file of each
// instruction set is compiled for it alone, and select.cc asks the CPU before it hands one out.
#ifndef QCNN_CORE_LRN_H_
#define QCNN_CORE_LRN_H_

#include <cstdint>

#include "core/layer.h"

namespace qcnn {

using LrnFunction = void (*)(const LrnShape& shape, int64_t count, const float* input,
                             float* output);

// pixels: count of them, at least one, each [channels]; output: [channels], their largest values;
// NaN where one is.
using MaxFunction = void (*)(int64_t channels, int64_t count, const float* const* pixels,
                             float* output);

// In double precision and with pow: the oracle. What float cannot hold is infinite here, too.
void lrn_reference(const LrnShape& shape, int64_t count, const float* input, float* output);
void max_reference(int64_t channels, int64_t count, const float* const* pixels, float* output);

// In float. A sum of squares beyond float's range makes 0 of a finite input, as in TensorFlow Lite;
// NaN stays NaN, and spreads no further than the radius.
// Null where this build has no code for the instruction set.
extern const LrnFunction lrn_avx2;
extern const LrnFunction lrn_avx512;
extern const LrnFunction lrn_neon;
extern const MaxFunction max_avx2;
extern const MaxFunction max_avx512;
extern const MaxFunction max_neon;

}  // namespace qcnn

#endif  // QCNN_CORE_LRN_H_
