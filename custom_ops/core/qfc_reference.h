#ifndef QCNN_CORE_QFC_REFERENCE_H_
#define QCNN_CORE_QFC_REFERENCE_H_

#include <memory>

#include "core/kernels.h"

namespace qcnn {

// Q-CNN's fully-connected layer (Wu et al. 2016, section 3.3.2) in float32, on one thread: for
// every row and subspace a table of inner products with all codewords, then one addition per code.
// It defines the right answer.
std::unique_ptr<FcLayer> make_fc_reference(const FcShape& shape, Codes codes);

}  // namespace qcnn

#endif  // QCNN_CORE_QFC_REFERENCE_H_
