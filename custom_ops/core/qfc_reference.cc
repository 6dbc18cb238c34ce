#include "core/qfc_reference.h"

#include <algorithm>
#include <cassert>

#include "core/activation.h"
#include "core/kernels.h"
#include "core/qconv_reference.h"

namespace qcnn {

int64_t qfc_reference_scratch(const FcShape& s, const Codes& codes) {
  return codes.K + s.out_channels;
}

void qfc_reference(const FcShape& s, const Codes& codes, const float* input, float* output,
                   float* scratch) {
  assert(input != nullptr && output != nullptr && scratch != nullptr);
  assert(codes.M == (s.in_channels + codes.d - 1) / codes.d);
  float* table = scratch;         // [K]
  float* sums = table + codes.K;  // [out_channels]
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

const Kernel kReferenceKernel = {
    "reference", qconv_reference_scratch, qconv_reference, qfc_reference_scratch, qfc_reference,
};

}  // namespace qcnn
