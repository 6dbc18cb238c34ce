#ifndef QCNN_CORE_QCONV_REFERENCE_H_
#define QCNN_CORE_QCONV_REFERENCE_H_

#include <memory>

#include "core/kernels.h"

namespace qcnn {

// Q-CNN's convolution (Wu et al. 2016, section 3.3.1) in float32, on one thread: for every input
// row and subspace a table of inner products of all codewords with all pixels, then one addition
// per code. It defines the right answer.
std::unique_ptr<ConvLayer> make_conv_reference(const ConvShape& shape, Codes codes);

}  // namespace qcnn

#endif  // QCNN_CORE_QCONV_REFERENCE_H_
