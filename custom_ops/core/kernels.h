// The kernels and their selection. A kernel is a set of functions; which set runs is decided once,
// by name or by what the CPU can do.
#ifndef QCNN_CORE_KERNELS_H_
#define QCNN_CORE_KERNELS_H_

#include <cstddef>

#include "core/layer.h"

namespace qcnn {

struct Kernel {
  const char* name;  // static

  // Floats of scratch that qconv needs for this shape.
  int64_t (*qconv_scratch)(const ConvShape& shape, const Codes& codes);

  // input: [batch][in_h][in_w][in_channels]; output: [batch][out_h][out_w][out_channels].
  void (*qconv)(const ConvShape& shape, const Codes& codes, const float* input, float* output,
                float* scratch);

  int64_t (*qfc_scratch)(const FcShape& shape, const Codes& codes);

  // input: [rows][in_channels]; output: [rows][out_channels].
  void (*qfc)(const FcShape& shape, const Codes& codes, const float* input, float* output,
              float* scratch);
};

// The float kernel that defines the right answer.
extern const Kernel kReferenceKernel;

// Kernel by name; "auto" or null is the fastest for this CPU. Null if there is none of that name.
const Kernel* select_kernel(const char* name);

}  // namespace qcnn

#endif  // QCNN_CORE_KERNELS_H_
