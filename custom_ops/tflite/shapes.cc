#include "tflite/shapes.h"

#include <algorithm>
#include <cstdlib>

namespace qcnn {
namespace {

// 8 GiB: no network comes near.
constexpr int64_t kMaxFloats = int64_t{1} << 31;

}  // namespace

TfLiteTensor* tensor_at(TfLiteContext* context, int index) {
  if (index < 0 || static_cast<size_t>(index) >= context->tensors_size) return nullptr;
  return &context->tensors[index];
}

bool grow(int64_t* total, int64_t factor) {
  if (factor < 0 || (factor > 0 && *total > kMaxFloats / factor)) return false;
  *total *= factor;
  return true;
}

size_t float_bytes(const int* first, const int* last) {
  size_t bytes = sizeof(float);
  for (; first != last; ++first) bytes *= static_cast<size_t>(*first);
  return bytes;
}

bool plan_axis(int64_t size, int64_t kernel, int64_t stride, int64_t dilation, Padding padding,
               int64_t before, int64_t after, int64_t* out, int64_t* pad) {
  const int64_t reach = (kernel - 1) * dilation + 1;
  if (padding == Padding::kSame) {
    *out = (size + stride - 1) / stride;
    *pad = std::max<int64_t>((*out - 1) * stride + reach - size, 0) / 2;
    return size > 0;
  }
  *pad = before;
  *out = (size + before + after - reach) / stride + 1;
  return size > 0 && size + before + after >= reach;
}

TfLiteIntArray* make_dims(TfLiteContext* context, const std::vector<int>& shape) {
  const int size = static_cast<int>(shape.size());
#if defined(_WIN32)
  TfLiteIntArray* dims = context->TfLiteIntArrayCreate(size);  // the host frees it: its heap
#else
  (void)context;
  auto* dims = static_cast<TfLiteIntArray*>(
      std::malloc(sizeof(TfLiteIntArray) + sizeof(int) * shape.size()));
#endif
  if (dims == nullptr) return nullptr;
  dims->size = size;
  std::copy(shape.begin(), shape.end(), dims->data);
  return dims;
}

std::vector<int> to_vector(const TfLiteIntArray* array) {
  return array == nullptr ? std::vector<int>()
                          : std::vector<int>(array->data, array->data + array->size);
}

int thread_count(const TfLiteContext* context) {
  // -1 leaves it to the op; more threads than that help nobody.
  return std::min(std::max(context->recommended_num_threads, 1), 64);
}

}  // namespace qcnn
