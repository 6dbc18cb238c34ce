#ifndef QCNN_CORE_QCONV_REFERENCE_H_
#define QCNN_CORE_QCONV_REFERENCE_H_

#include "core/layer.h"

namespace qcnn {

// Floats of scratch of qconv_reference().
int64_t qconv_reference_scratch(const ConvShape& shape, const Codes& codes);

// Q-CNN's convolution (Wu et al. 2016, section 3.3.1) in float32: for every input row and subspace
// a table of inner products of all codewords with all pixels, then one addition per code.
void qconv_reference(const ConvShape& shape, const Codes& codes, const float* input, float* output,
                     float* scratch);

}  // namespace qcnn

#endif  // QCNN_CORE_QCONV_REFERENCE_H_
