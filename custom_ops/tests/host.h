// A stand-in for TensorFlow Lite: the context of one node, with six tensors.
#ifndef QCNN_TESTS_HOST_H_
#define QCNN_TESTS_HOST_H_

#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "qcnn/tflite_abi.h"

namespace qcnn {

// Memory of exactly the size asked for, so that a sanitizer sees every read behind it.
class Host {
 public:
  std::string error;             // all that was reported
  size_t most_bytes = SIZE_MAX;  // of a tensor that an op resizes

  Host() {
    context_.ReportError = report;
    context_.ResizeTensor = [](TfLiteContext* context, TfLiteTensor* tensor, TfLiteIntArray* dims) {
      auto* host = static_cast<Host*>(context->impl_);
      // Owned from here on, also when a test lets the memory for the next lines end.
      const std::unique_ptr<void, Free> owned(dims);
      const std::vector<int> shape(dims->data, dims->data + dims->size);
      size_t bytes = 4;
      for (int size : shape) {
        if (__builtin_mul_overflow(bytes, static_cast<size_t>(size), &bytes)) return kTfLiteError;
      }
      // Constants are of the size that the file gave them.
      if (bytes > host->most_bytes || tensor->allocation_type == kTfLiteMmapRo) return kTfLiteError;
      host->set(static_cast<int>(tensor - host->tensors_.data()), shape,
                std::vector<uint8_t>(bytes), kTfLiteFloat32, tensor->allocation_type);
      return kTfLiteOk;
    };
    context_.impl_ = this;
    context_.recommended_num_threads = 1;
    tensors_.resize(6);
    memory_.resize(6);
    refresh();
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  void set(int index, const std::vector<int>& shape, const std::vector<uint8_t>& bytes,
           TfLiteType type, TfLiteAllocationType allocation) {
    TfLiteTensor& tensor = tensors_[static_cast<size_t>(index)];
    Memory& memory = memory_[static_cast<size_t>(index)];
    memory.dims.reset(std::malloc(sizeof(int) * (1 + shape.size())));
    memory.data.reset(std::malloc(bytes.size()));
    tensor.dims = static_cast<TfLiteIntArray*>(memory.dims.get());
    tensor.dims->size = static_cast<int>(shape.size());
    std::copy(shape.begin(), shape.end(), tensor.dims->data);
    tensor.data = memory.data.get();
    if (!bytes.empty()) std::memcpy(tensor.data, bytes.data(), bytes.size());
    tensor.bytes = bytes.size();
    tensor.type = type;
    tensor.allocation_type = allocation;
    tensor.name = "layer/codes";
  }
  template <typename T>
  void constant(int index, const std::vector<int>& shape, const std::vector<T>& values,
                TfLiteType type) {
    std::vector<uint8_t> bytes(values.size() * sizeof(T));
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    set(index, shape, bytes, type, kTfLiteMmapRo);
  }
  void input(const std::vector<int>& shape, const std::vector<float>& values) {
    constant(0, shape, values, kTfLiteFloat32);
    tensors_[0].allocation_type = kTfLiteArenaRw;
  }

  TfLiteTensor& operator[](int index) { return tensors_[static_cast<size_t>(index)]; }
  TfLiteContext* context() { return &context_; }
  void refresh() {
    context_.tensors = tensors_.data();
    context_.tensors_size = tensors_.size();
  }

 private:
  static void report(TfLiteContext* context, const char* format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    static_cast<Host*>(context->impl_)->error += text;
  }
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  // Of the tensors, whose pointers an op or a test may set to null.
  struct Memory {
    std::unique_ptr<void, Free> dims, data;
  };
  TfLiteContext context_ = {};
  std::vector<TfLiteTensor> tensors_;
  std::vector<Memory> memory_;
};

}  // namespace qcnn

#endif  // QCNN_TESTS_HOST_H_
