#include "core/lrn_pool.h"

#include <algorithm>
#include <cassert>

#include "core/aligned.h"

namespace qcnn {

void LrnPool::plan(const Kernel* kernel, const LrnShape& lrn, const PoolShape& pool, int threads) {
  kernel_ = kernel;
  lrn_ = lrn;
  pool_ = pool;
  threads_ = threads;
  kept_rows_ = std::min(pool.size_h, pool.in_h);
  row_size_ = pool.in_w * lrn.channels;
  most_pixels_ = kept_rows_ * std::min(pool.size_w, pool.in_w) + 1;
  // The rows that two bands share are normalized for both, so there are few.
  bands_ = threads == 1 ? 1 : std::min<int64_t>(pool.out_h, 2 * threads);
  scratch_ = place(nullptr);
}

// Divides the scratch and returns its size; null to learn that.
size_t LrnPool::place(unsigned char* scratch) {
  AlignedPieces pieces(scratch);
  rows_ = pieces.take<float>(threads_ * kept_rows_ * row_size_);
  zeros_ = pieces.take<float>(lrn_.channels);
  pixels_ = pieces.take<const float*>(threads_ * most_pixels_);
  return pieces.bytes();
}

void LrnPool::run(ThreadPool* threads, const float* input, float* output, unsigned char* scratch) {
  assert(input != nullptr && output != nullptr && scratch != nullptr);
  place(scratch);
  std::fill_n(zeros_, lrn_.channels, 0.0f);
  parallel_for(threads, threads_, pool_.batch * bands_, [&](int64_t item, int worker) {
    const int64_t image = item / bands_, band = item % bands_;
    run_band(input + image * pool_.in_h * row_size_, band * pool_.out_h / bands_,
             (band + 1) * pool_.out_h / bands_,
             output + image * pool_.out_h * pool_.out_w * lrn_.channels, worker);
  });
}

void LrnPool::run_band(const float* image, int64_t first, int64_t last, float* output, int worker) {
  const PoolShape& p = pool_;
  // Row r of the image is kept at r % kept_rows_, until the window has passed it.
  float* rows = rows_ + worker * kept_rows_ * row_size_;
  const float** pixels = pixels_ + worker * most_pixels_;
  int64_t next = 0;
  for (int64_t y = first; y < last; ++y) {
    const int64_t top = y * p.stride_h - p.pad_top;
    const int64_t begin_h = std::max<int64_t>(top, 0), end_h = std::min(top + p.size_h, p.in_h);
    for (next = std::max(next, begin_h); next < end_h; ++next) {
      kernel_->lrn(lrn_, p.in_w, image + next * row_size_, rows + next % kept_rows_ * row_size_);
    }
    for (int64_t x = 0; x < p.out_w; ++x) {
      const int64_t left = x * p.stride_w - p.pad_left;
      const int64_t begin_w = std::max<int64_t>(left, 0), end_w = std::min(left + p.size_w, p.in_w);
      int64_t count = 0;
      for (int64_t r = begin_h; r < end_h; ++r) {
        for (int64_t c = begin_w; c < end_w; ++c) {
          pixels[count++] = rows + r % kept_rows_ * row_size_ + c * lrn_.channels;
        }
      }
      if (p.zeros && count < p.size_h * p.size_w) pixels[count++] = zeros_;
      assert(count > 0 && count <= most_pixels_);
      kernel_->max(lrn_.channels, count, pixels, output + (y * p.out_w + x) * lrn_.channels);
    }
  }
}

}  // namespace qcnn
