#include "core/conv_ops.h"

namespace qcnn {
const ConvOps* conv_ops_avx2() { return nullptr; }
}  // namespace qcnn
