#include "core/conv_ops.h"

namespace qcnn {
const ConvOps* conv_ops_neon_dotprod() { return nullptr; }
}  // namespace qcnn
