#include "core/fc_ops.h"

namespace qcnn {
const FcOps* fc_ops_neon() { return nullptr; }
}  // namespace qcnn
