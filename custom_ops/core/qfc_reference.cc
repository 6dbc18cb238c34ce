#include "core/qfc_reference.h"

#include <algorithm>
#include <cassert>
#include <utility>
#include <vector>

#include "core/activation.h"

namespace qcnn {
namespace {

class ReferenceFc final : public FcLayer {
 public:
  explicit ReferenceFc(Codes codes) : codes_(std::move(codes)) {}

  void plan(const FcShape& shape, int) override { shape_ = shape; }

  void run(const float* input, float* output, unsigned char* scratch) override;

  Memory memory() const override {
    return {codes_.bytes(), static_cast<size_t>(codes_.K + shape_.out_channels) * sizeof(float)};
  }

 private:
  Codes codes_;
  FcShape shape_;
};

void ReferenceFc::run(const float* input, float* output, unsigned char* scratch) {
  const FcShape& s = shape_;
  const Codes& codes = codes_;
  assert(input != nullptr && output != nullptr && scratch != nullptr);
  assert(codes.M == (s.in_channels + codes.d - 1) / codes.d);
  float* table = reinterpret_cast<float*>(scratch);  // [K]
  float* sums = table + codes.K;                     // [out_channels]
  for (int64_t r = 0; r < s.rows; ++r) {
    const float* row = input + r * s.in_channels;
    std::fill(sums, sums + s.out_channels, 0.0f);
    for (int64_t m = 0; m < codes.M; ++m) {
      const int64_t first = m * codes.d;
      const int64_t width = std::min(codes.d, s.in_channels - first);
      const float* codebook = codes.codebook(0, m);
      for (int64_t k = 0; k < codes.K; ++k) {
        float product = 0.0f;
        for (int64_t j = 0; j < width; ++j) product += codebook[k * codes.d + j] * row[first + j];
        table[k] = product;
      }
      const uint8_t* chosen = codes.codes.data() + m * s.out_channels;
      for (int64_t c = 0; c < s.out_channels; ++c) sums[c] += table[chosen[c]];
    }
    float* result = output + r * s.out_channels;
    for (int64_t c = 0; c < s.out_channels; ++c) {
      result[c] = finish(sums[c], codes, c, s.activation);
    }
  }
}

}  // namespace

std::unique_ptr<FcLayer> make_fc_reference(const FcShape&, Codes codes) {
  return std::make_unique<ReferenceFc>(std::move(codes));
}

}  // namespace qcnn
