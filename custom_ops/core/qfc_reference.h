#ifndef QCNN_CORE_QFC_REFERENCE_H_
#define QCNN_CORE_QFC_REFERENCE_H_

#include "core/layer.h"

namespace qcnn {

// Floats of scratch of qfc_reference().
int64_t qfc_reference_scratch(const FcShape& shape, const Codes& codes);

// Q-CNN's fully-connected layer (Wu et al. 2016, section 3.3.2) in float32: for every row and
// subspace a table of inner products with all codewords, then one addition per code.
void qfc_reference(const FcShape& shape, const Codes& codes, const float* input, float* output,
                   float* scratch);

}  // namespace qcnn

#endif  // QCNN_CORE_QFC_REFERENCE_H_
