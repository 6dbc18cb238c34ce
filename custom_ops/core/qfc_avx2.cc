#include "core/fc_ops.h"

namespace qcnn {
const FcOps* fc_ops_avx2() { return nullptr; }
}  // namespace qcnn
