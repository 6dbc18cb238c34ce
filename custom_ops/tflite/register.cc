// Our ops in TensorFlow Lite's C API: QConv and QFC as custom ops, LRN in place of the builtin one.
#if !defined(_WIN32)
#include <dlfcn.h>
#endif

#include <algorithm>

#include "core/kernels.h"
#include "qcnn/qcnn_ops.h"
#include "tflite/lrn_op.h"
#include "tflite/ops.h"

namespace {

bool valid(const void* interpreter_options, uint32_t flags) {
  return interpreter_options != nullptr && (flags & ~uint32_t{QCNN_WITHOUT_LRN}) == 0;
}

// Index of a kernel in kernels(); their number if this machine has none of that name.
size_t index_of(const char* name) {
  const auto& all = qcnn::kernels();
  return static_cast<size_t>(std::find(all.begin(), all.end(), qcnn::select_kernel(name)) -
                             all.begin());
}

}  // namespace

extern "C" {

QcnnStatus qcnn_register_ops_with(QcnnAddCustomOp add_custom_op, QcnnAddBuiltinOp add_builtin_op,
                                  void* interpreter_options, const char* kernel, uint32_t flags) {
  if (add_custom_op == nullptr || !valid(interpreter_options, flags)) return QCNN_INVALID_ARGUMENT;
  const size_t index = index_of(kernel);
  if (index >= qcnn::kernels().size()) return QCNN_INVALID_ARGUMENT;
  for (qcnn::OpKind kind : {qcnn::OpKind::kConv, qcnn::OpKind::kFc}) {
    add_custom_op(interpreter_options, qcnn::op_name(kind), &qcnn::op_registration(kind, index), 1,
                  1);
  }
  if (add_builtin_op != nullptr && (flags & QCNN_WITHOUT_LRN) == 0) {
    add_builtin_op(interpreter_options, kTfLiteBuiltinLocalResponseNormalization,
                   &qcnn::lrn_registration(index), 1, 1);
  }
  return QCNN_OK;
}

QcnnStatus qcnn_register_ops(void* interpreter_options, uint32_t flags) {
  if (!valid(interpreter_options, flags)) return QCNN_INVALID_ARGUMENT;
#if defined(_WIN32)
  return QCNN_NOT_FOUND;
#else
  void* custom = dlsym(RTLD_DEFAULT, "TfLiteInterpreterOptionsAddCustomOp");
  void* builtin = dlsym(RTLD_DEFAULT, "TfLiteInterpreterOptionsAddBuiltinOp");
  if (custom == nullptr) return QCNN_NOT_FOUND;
  return qcnn_register_ops_with(reinterpret_cast<QcnnAddCustomOp>(custom),
                                reinterpret_cast<QcnnAddBuiltinOp>(builtin), interpreter_options,
                                nullptr, flags);
#endif
}

}  // extern "C"
