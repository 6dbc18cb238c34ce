// What the library tells about itself: its kernels, and the memory of the layers in the process.
#include "core/kernels.h"
#include "qcnn/qcnn_ops.h"
#include "tflite/memory.h"

extern "C" {

QcnnStatus qcnn_kernels(size_t index, const char** name, const char** features, int* available) {
  if (name == nullptr || features == nullptr || available == nullptr) return QCNN_INVALID_ARGUMENT;
  const auto& all = qcnn::kernels();
  if (index >= all.size()) return QCNN_NOT_FOUND;
  *name = all[index]->name;
  *features = all[index]->features;
  *available = all[index]->available() ? 1 : 0;
  return QCNN_OK;
}

void qcnn_memory(size_t* packed, size_t* scratch) {
  const qcnn::Memory memory = qcnn::total_memory();
  if (packed != nullptr) *packed = memory.packed;
  if (scratch != nullptr) *scratch = memory.scratch;
}

}  // extern "C"
