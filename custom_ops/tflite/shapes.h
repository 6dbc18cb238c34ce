// Shapes of a node's tensors: products that cannot overflow, output sizes, the host's arrays.
#ifndef QCNN_TFLITE_SHAPES_H_
#define QCNN_TFLITE_SHAPES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "qcnn/tflite_abi.h"
#include "tflite/options.h"

namespace qcnn {

// Null where the host has no tensor of that index, or it stands for an absent one.
TfLiteTensor* tensor_at(TfLiteContext* context, int index);

// Multiplies into `total`; false when that exceeds the largest tensor, 2^31 floats.
bool grow(int64_t* total, int64_t factor);

// Bytes of floats of a shape that `grow` has found to fit.
size_t float_bytes(const int* first, const int* last);

// Output positions along one axis and the padding before it, as TensorFlow Lite computes SAME and
// VALID; false where there are none. before, after: of EXPLICIT padding, else 0. All at most 2^31.
bool plan_axis(int64_t size, int64_t kernel, int64_t stride, int64_t dilation, Padding padding,
               int64_t before, int64_t after, int64_t* out, int64_t* pad);

// An array that the host will free; null if there is no memory.
TfLiteIntArray* make_dims(TfLiteContext* context, const std::vector<int>& shape);

// A host's array of indices; empty for null.
std::vector<int> to_vector(const TfLiteIntArray* array);

// What the host recommends, at least 1, at most 64.
int thread_count(const TfLiteContext* context);

}  // namespace qcnn

#endif  // QCNN_TFLITE_SHAPES_H_
