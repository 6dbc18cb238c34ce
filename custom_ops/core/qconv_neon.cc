#include "core/conv_ops.h"

namespace qcnn {
const ConvOps* conv_ops_neon() { return nullptr; }
}  // namespace qcnn
