// QConv and QFC as custom ops of TensorFlow Lite's C API.
#if !defined(_WIN32)
#include <dlfcn.h>
#endif

#include "qcnn/qcnn_ops.h"
#include "tflite/ops.h"

extern "C" {

QcnnStatus qcnn_register_ops_with(QcnnAddCustomOp add_custom_op, void* interpreter_options,
                                  uint32_t flags) {
  if (add_custom_op == nullptr || interpreter_options == nullptr || flags != 0) {
    return QCNN_INVALID_ARGUMENT;
  }
  for (qcnn::OpKind kind : {qcnn::OpKind::kConv, qcnn::OpKind::kFc}) {
    add_custom_op(interpreter_options, qcnn::op_name(kind), &qcnn::op_registration(kind), 1, 1);
  }
  return QCNN_OK;
}

QcnnStatus qcnn_register_ops(void* interpreter_options, uint32_t flags) {
#if defined(_WIN32)
  return interpreter_options == nullptr || flags != 0 ? QCNN_INVALID_ARGUMENT : QCNN_NOT_FOUND;
#else
  if (interpreter_options == nullptr || flags != 0) return QCNN_INVALID_ARGUMENT;
  void* symbol = dlsym(RTLD_DEFAULT, "TfLiteInterpreterOptionsAddCustomOp");
  if (symbol == nullptr) return QCNN_NOT_FOUND;
  return qcnn_register_ops_with(reinterpret_cast<QcnnAddCustomOp>(symbol), interpreter_options,
                                flags);
#endif
}

}  // extern "C"
