// Checks a layer's constant tensors and decodes them for the kernels.
#ifndef QCNN_TFLITE_CONSTANTS_H_
#define QCNN_TFLITE_CONSTANTS_H_

#include <string>

#include "core/layer.h"
#include "qcnn/tflite_abi.h"
#include "tflite/options.h"

namespace qcnn {

// codebooks, packed: the tensors of inputs 1 and 2; bias, scale: of 3 and 4, null when absent.
// error: set to a sentence when a tensor breaks the op contract; nothing outside the tensors' bytes
//   is read. Throws std::bad_alloc.
// Returns whether `codes` was filled.
bool read_constants(const Options& options, const TfLiteTensor* codebooks,
                    const TfLiteTensor* packed, const TfLiteTensor* bias, const TfLiteTensor* scale,
                    Codes* codes, std::string* error);

}  // namespace qcnn

#endif  // QCNN_TFLITE_CONSTANTS_H_
