// The fast convolution: one algorithm on the primitives of any instruction set.
//
// After Wu et al. (CVPR 2016), section 3.3.1, but with the vector lanes over positions: for each
// subspace a table T[k][p] = <codeword k, input at position p> in int16, positions innermost; then,
// for each output channel and kernel offset, one vector addition of a table entry.
//
// All sums are kept modulo 2^16. They are right in the end because the scale of the tables is
// chosen so that no complete sum can leave int16, whatever happens on the way: by the inequality of
// Cauchy and Schwarz, of which table_scale.h has three forms. The subspaces are taken in chunks
// with a scale each, so that the rounding of the entries stays below 0.5 % of the response; chunks
// are added up in float32.
//
// The scale is one for a whole image and chunk, so neither the cutting of the work nor the number
// of threads changes a bit of the result. 1x1 kernels have one for each position, which does not
// depend on any other: rows of a batch, tokens, do not change each other's answers.
#ifndef QCNN_CORE_QCONV_H_
#define QCNN_CORE_QCONV_H_

#include <memory>

#include "core/conv_ops.h"
#include "core/kernels.h"

namespace qcnn {

std::unique_ptr<ConvLayer> make_conv(const ConvOps& ops, const ConvShape& shape, Codes codes);

}  // namespace qcnn

#endif  // QCNN_CORE_QCONV_H_
