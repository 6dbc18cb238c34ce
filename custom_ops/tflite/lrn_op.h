// TensorFlow Lite's LOCAL_RESPONSE_NORMALIZATION, by our kernels: prepare and invoke.
#ifndef QCNN_TFLITE_LRN_OP_H_
#define QCNN_TFLITE_LRN_OP_H_

#include <memory>
#include <string>
#include <vector>

#include "core/kernels.h"
#include "core/thread_pool.h"
#include "qcnn/tflite_abi.h"

namespace qcnn {

// As a profiler shows it.
inline constexpr const char* kLrnName = "LRN";

// Whether the parameters of a node mean anything. A model comes from anywhere.
bool lrn_params_sound(const TfLiteLocalResponseNormParams& params);

// One node in one interpreter.
class LrnOp {
 public:
  LrnOp(const Kernel* kernel, const TfLiteLocalResponseNormParams& params);

  // Checks the node and plans it for the input's present shape; reports what is wrong.
  // inputs, outputs: tensor indices of the node.
  TfLiteStatus prepare(TfLiteContext* context, const std::vector<int>& inputs,
                       const std::vector<int>& outputs);

  // The result does not depend on the number of threads.
  TfLiteStatus invoke(TfLiteContext* context);

 private:
  bool plan(TfLiteContext* context, std::string* error);

  const Kernel* kernel_;
  TfLiteLocalResponseNormParams params_;
  int input_ = -1, output_ = -1;
  bool dynamic_ = false;  // the input's shape is known in Invoke only
  int threads_ = 1;
  std::shared_ptr<ThreadPool> pool_;
  LrnShape shape_;
  int64_t pixels_ = 0;
};

// Registration for hosts that take builtin ops. kernel: index in kernels().
const TfLiteRegistration& lrn_registration(size_t kernel);

}  // namespace qcnn

#endif  // QCNN_TFLITE_LRN_OP_H_
