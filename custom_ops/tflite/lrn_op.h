// TensorFlow Lite's LOCAL_RESPONSE_NORMALIZATION, by our kernels, and the max pooling behind it:
// prepare and invoke.
#ifndef QCNN_TFLITE_LRN_OP_H_
#define QCNN_TFLITE_LRN_OP_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/kernels.h"
#include "core/lrn_pool.h"
#include "core/thread_pool.h"
#include "qcnn/tflite_abi.h"
#include "tflite/memory.h"
#include "tflite/pooling.h"

namespace qcnn {

// As a profiler shows it.
inline constexpr const char* kLrnName = "LRN";
inline constexpr const char* kLrnPoolName = "LRN+MAX_POOL_2D";

// Whether the parameters of a node mean anything. A model comes from anywhere.
bool lrn_params_sound(const TfLiteLocalResponseNormParams& params);

// One node in one interpreter, with `pooling` also those that find_pooling() found behind it.
class LrnOp {
 public:
  LrnOp(const Kernel* kernel, const TfLiteLocalResponseNormParams& params,
        const std::optional<Pooling>& pooling = {});

  // Checks the node and plans it for the input's present shape; reports what is wrong.
  // inputs, outputs: tensor indices of the node, outputs those of the last one.
  TfLiteStatus prepare(TfLiteContext* context, const std::vector<int>& inputs,
                       const std::vector<int>& outputs);

  // The result does not depend on the number of threads.
  TfLiteStatus invoke(TfLiteContext* context);

 private:
  bool plan(TfLiteContext* context, std::string* error);
  bool plan_pooling(const TfLiteIntArray& input, PoolShape* pool, std::vector<int>* out_shape,
                    std::string* error);

  const Kernel* kernel_;
  TfLiteLocalResponseNormParams params_;
  std::optional<Pooling> pooling_;
  int input_ = -1, output_ = -1;
  bool dynamic_ = false;  // the input's shape is known in Invoke only
  int threads_ = 1;
  std::shared_ptr<ThreadPool> pool_;
  LrnShape shape_;
  int64_t pixels_ = 0;
  LrnPool lrn_pool_;
  std::shared_ptr<Scratch> scratch_;           // with pooling
  size_t input_bytes_ = 0, output_bytes_ = 0;  // as planned, with pooling
};

// Registration for hosts that take builtin ops. kernel: index in kernels().
const TfLiteRegistration& lrn_registration(size_t kernel);

}  // namespace qcnn

#endif  // QCNN_TFLITE_LRN_OP_H_
