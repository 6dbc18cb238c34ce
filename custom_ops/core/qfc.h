// The fast fully-connected layer: one algorithm on the primitives of any instruction set.
//
// After Wu et al. (CVPR 2016), section 3.3.2, with the vector lanes over outputs: the table of a
// subspace, K inner products in int16, stays in registers, and one permutation looks up as many
// outputs as a register holds. Sums are kept modulo 2^16 with a scale for each chunk of subspaces,
// as in qconv.h. Many rows at once are a 1x1 convolution.
#ifndef QCNN_CORE_QFC_H_
#define QCNN_CORE_QFC_H_

#include <memory>

#include "core/conv_ops.h"
#include "core/fc_ops.h"
#include "core/kernels.h"

namespace qcnn {

std::unique_ptr<FcLayer> make_fc(const FcOps& ops, const ConvOps& conv_ops, const FcShape& shape,
                                 Codes codes);

}  // namespace qcnn

#endif  // QCNN_CORE_QFC_H_
