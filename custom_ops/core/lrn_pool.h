// Local response normalization and the max pooling behind it, without what is between them in
// memory: AlexNet and CNN-S normalize their largest layers so.
#ifndef QCNN_CORE_LRN_POOL_H_
#define QCNN_CORE_LRN_POOL_H_

#include <cstddef>
#include <cstdint>

#include "core/kernels.h"
#include "core/thread_pool.h"

namespace qcnn {

// Output (y, x) is the maximum of the pixels (y * stride_h - pad_top + i, x * stride_w - pad_left +
// j), i below size_h, j below size_w; every window has a pixel of the image in it, or `zeros`.
struct PoolShape {
  int64_t batch = 0, in_h = 0, in_w = 0, out_h = 0, out_w = 0;
  int64_t size_h = 1, size_w = 1, stride_h = 1, stride_w = 1;
  int64_t pad_top = 0, pad_left = 0;
  bool zeros = false;  // pixels outside of the image are 0; else they do not count
};

class LrnPool {
 public:
  // Throws std::bad_alloc. Again after each change of shape.
  void plan(const Kernel* kernel, const LrnShape& lrn, const PoolShape& pool, int threads);

  // input: [batch][in_h][in_w][channels]; output: [batch][out_h][out_w][channels]. `threads`: a
  // pool of plan()'s number of them, null for one; scratch as of ConvLayer::run. Allocates nothing;
  // the result does not depend on the threads.
  void run(ThreadPool* threads, const float* input, float* output, unsigned char* scratch);

  Memory memory() const { return {0, scratch_}; }

 private:
  size_t place(unsigned char* scratch);

  // Output rows first to last - 1 of one image.
  void run_band(const float* image, int64_t first, int64_t last, float* output, int worker);

  const Kernel* kernel_ = nullptr;
  LrnShape lrn_;
  PoolShape pool_;
  int threads_ = 1;
  int64_t kept_rows_ = 0, row_size_ = 0, bands_ = 1;
  int64_t most_pixels_ = 0;  // in a window, with one 0
  size_t scratch_ = 0;

  // Of a run, in its scratch.
  float* rows_ = nullptr;           // [threads][kept_rows][in_w][channels] normalized
  float* zeros_ = nullptr;          // [channels]
  const float** pixels_ = nullptr;  // [threads][most_pixels]: the window's
};

}  // namespace qcnn

#endif  // QCNN_CORE_LRN_POOL_H_
