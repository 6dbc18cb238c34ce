// Options of QConv and QFC: the C++ half of the op contract (the Python half is graph/ops.py).
#ifndef QCNN_TFLITE_OPTIONS_H_
#define QCNN_TFLITE_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace qcnn {

enum class OpKind { kConv, kFc };
enum class Padding { kSame = 0, kValid = 1, kExplicit = 2 };

inline const char* op_name(OpKind kind) { return kind == OpKind::kConv ? "QConv" : "QFC"; }

struct Options {
  int64_t bits = 0, activation = 0, in_channels = 0, out_channels = 0;
  // QConv
  int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t groups = 1;
  Padding padding = Padding::kValid;
  int64_t pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0;
  // QFC
  int64_t keep_num_dims = 0;
};

// Reads and checks the options of an op.
//
// error: set to a sentence when they break the contract.
// Returns whether they are in order.
bool read_options(OpKind kind, const uint8_t* data, size_t size, Options* options,
                  std::string* error);

}  // namespace qcnn

#endif  // QCNN_TFLITE_OPTIONS_H_
