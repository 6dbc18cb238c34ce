#include <cstring>

#include "core/kernels.h"

namespace qcnn {

const Kernel* select_kernel(const char* name) {
  if (name == nullptr || std::strcmp(name, "auto") == 0) return &kReferenceKernel;
  return std::strcmp(name, kReferenceKernel.name) == 0 ? &kReferenceKernel : nullptr;
}

}  // namespace qcnn
