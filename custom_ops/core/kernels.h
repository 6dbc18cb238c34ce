// The kernels and their selection. A kernel makes layers and normalises; which one does is decided
// once, by name or by what the CPU can do.
#ifndef QCNN_CORE_KERNELS_H_
#define QCNN_CORE_KERNELS_H_

#include <cassert>
#include <cstddef>
#include <memory>

#include "core/layer.h"

namespace qcnn {

// Bytes that a layer holds besides the model file.
struct Memory {
  size_t packed = 0;   // constants as the kernel keeps them
  size_t scratch = 0;  // tables, tiles, quantized inputs: what run() is to be given
};

// A convolution whose constants have been repacked.
class ConvLayer {
 public:
  virtual ~ConvLayer() = default;

  // Plans work and memory for an input of a shape; again after each change of shape. What the layer
  // was made with must not change. The result of run() does not depend on `threads`.
  // Throws std::bad_alloc.
  virtual void plan(const ConvShape& shape, int threads) = 0;

  // input: [batch][in_h][in_w][in_channels]; output: [batch][out_h][out_w][out_channels], or
  // [batch][pooled_h][pooled_w][out_channels]. scratch: as many bytes as memory() says, from a
  // cache line on, of any contents. Allocates nothing.
  virtual void run(const float* input, float* output, unsigned char* scratch) = 0;

  virtual Memory memory() const = 0;
};

// A fully-connected layer whose constants have been repacked.
class FcLayer {
 public:
  virtual ~FcLayer() = default;
  virtual void plan(const FcShape& shape, int threads) = 0;

  // input: [rows][in_channels]; output: [rows][out_channels]; scratch as of ConvLayer::run.
  // Allocates nothing.
  virtual void run(const float* input, float* output, unsigned char* scratch) = 0;

  virtual Memory memory() const = 0;
};

struct Kernel {
  const char* name;      // static
  const char* features;  // CPU features that it needs, in words; static

  // Whether this CPU has them.
  bool (*available)();

  // Whether convolutions with more than one kernel position can pool their outputs.
  bool pools;

  // Throw std::bad_alloc. Of the shape they use what the options of the op fix: channels, kernel,
  // strides, dilation, groups, activation.
  std::unique_ptr<ConvLayer> (*conv)(const ConvShape& shape, Codes codes);
  std::unique_ptr<FcLayer> (*fc)(const FcShape& shape, Codes codes);

  // Local response normalization of pixels [count][shape.channels], each on its own.
  void (*lrn)(const LrnShape& shape, int64_t count, const float* input, float* output);

  // Largest values of `count` pixels, each [channels], for max pooling.
  void (*max)(int64_t channels, int64_t count, const float* const* pixels, float* output);
};

// A build has at most so many kernels.
inline constexpr size_t kMostKernels = 6;

// A list that takes no memory of the heap: C functions that cannot throw ask for it.
class KernelList {
 public:
  using value_type = const Kernel*;
  using const_iterator = const Kernel* const*;

  void add(const Kernel* kernel) {
    assert(size_ < kMostKernels);
    items_[size_++] = kernel;
  }
  size_t size() const { return size_; }
  const Kernel* operator[](size_t i) const { return items_[i]; }
  const_iterator begin() const { return items_; }
  const_iterator end() const { return items_ + size_; }

 private:
  const Kernel* items_[kMostKernels] = {};
  size_t size_ = 0;
};

// Every kernel in this build, the fastest first; the reference kernel is the last.
const KernelList& kernels();

// Kernel by name; "auto" or null is the first that this CPU can run. Null if there is none of that
// name in this build, or if the CPU lacks its features.
const Kernel* select_kernel(const char* name);

}  // namespace qcnn

#endif  // QCNN_CORE_KERNELS_H_
