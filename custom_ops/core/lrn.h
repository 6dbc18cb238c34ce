// Local response normalization: pixels [count][shape.channels], each on its own. Input and output
// do not overlap. The file of each instruction set is compiled for it alone, and select.cc asks the
// CPU before it hands one out; where the compiler cannot make it, the file is empty.
#ifndef QCNN_CORE_LRN_H_
#define QCNN_CORE_LRN_H_

#include <cstdint>

#include "core/layer.h"

namespace qcnn {

// In double precision and with pow: the oracle.
void lrn_reference(const LrnShape& shape, int64_t count, const float* input, float* output);

// In float. A sum of squares beyond float's range makes 0 of a finite input, as in TensorFlow Lite;
// NaN stays NaN, and spreads no further than the radius.
void lrn_avx2(const LrnShape& shape, int64_t count, const float* input, float* output);
void lrn_avx512(const LrnShape& shape, int64_t count, const float* input, float* output);
void lrn_neon(const LrnShape& shape, int64_t count, const float* input, float* output);

}  // namespace qcnn

#endif  // QCNN_CORE_LRN_H_
