// QConv and QFC as TensorFlow Lite sees them: init, free, prepare, invoke.
#ifndef QCNN_TFLITE_OPS_H_
#define QCNN_TFLITE_OPS_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/kernels.h"
#include "qcnn/tflite_abi.h"
#include "tflite/memory.h"
#include "tflite/options.h"
#include "tflite/pooling.h"

namespace qcnn {

// One layer in one interpreter, with `pooling` also the MAX_POOL_2D behind it, which can_pool() has
// found to fit. Init cannot fail, so it remembers and Prepare reports.
class Op {
 public:
  Op(OpKind kind, const Kernel* kernel, const uint8_t* options, size_t size,
     const std::optional<Pooling>& pooling = {});

  // Whether a layer with these options can do the pooling too.
  static bool can_pool(OpKind kind, const Kernel& kernel, const uint8_t* options, size_t size,
                       const Pooling& pooling);

  // Checks the layer and plans it for the input's present shape; reports what is wrong.
  // inputs, outputs: tensor indices of the node, outputs those of the last one.
  TfLiteStatus prepare(TfLiteContext* context, const std::vector<int>& inputs,
                       const std::vector<int>& outputs);

  TfLiteStatus invoke(TfLiteContext* context);

  OpKind kind() const { return kind_; }

 private:
  bool read_layer(TfLiteContext* context, std::string* error);
  bool plan(TfLiteContext* context, std::string* error);
  bool plan_conv(TfLiteContext* context, const TfLiteTensor& input, std::string* error);
  bool plan_fc(TfLiteContext* context, const TfLiteTensor& input, std::string* error);
  bool resize_output(TfLiteContext* context, const std::vector<int>& shape, std::string* error);
  void take_memory(TfLiteContext* context, Memory memory);

  OpKind kind_;
  const Kernel* kernel_;
  Options options_;
  std::string options_error_;
  std::optional<Pooling> pooling_;
  std::vector<int> inputs_, outputs_;
  bool constants_read_ = false;
  bool dynamic_ = false;  // the input's shape is known in Invoke only
  Codes codes_;           // until the layer is made
  std::unique_ptr<ConvLayer> conv_;
  std::unique_ptr<FcLayer> fc_;
  MemoryShare packed_;
  std::shared_ptr<Scratch> scratch_;
  size_t scratch_bytes_ = 0;                   // of it, what the layer needs
  size_t input_bytes_ = 0, output_bytes_ = 0;  // as planned
};

// Registration of an op for hosts that take custom ops. kernel: index in kernels().
const TfLiteRegistration& op_registration(OpKind kind, size_t kernel);

}  // namespace qcnn

#endif  // QCNN_TFLITE_OPS_H_
