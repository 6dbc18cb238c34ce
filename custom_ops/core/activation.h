// The end of every layer: activation(scale * sum + bias).
#ifndef QCNN_CORE_ACTIVATION_H_
#define QCNN_CORE_ACTIVATION_H_

#include "core/layer.h"

namespace qcnn {

// Written so that NaN stays NaN: a comparison with it is false and keeps the value.
inline float activate(float value, Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return value;
    case Activation::kRelu:
      return value < 0.0f ? 0.0f : value;
    case Activation::kReluN1To1:
      return value < -1.0f ? -1.0f : value > 1.0f ? 1.0f : value;
    case Activation::kRelu6:
      return value < 0.0f ? 0.0f : value > 6.0f ? 6.0f : value;
  }
  return value;
}

inline float finish(float sum, const Codes& codes, int64_t output, Activation activation) {
  if (!codes.scale.empty()) sum *= codes.scale[static_cast<size_t>(output)];
  if (!codes.bias.empty()) sum += codes.bias[static_cast<size_t>(output)];
  return activate(sum, activation);
}

}  // namespace qcnn

#endif  // QCNN_CORE_ACTIVATION_H_
