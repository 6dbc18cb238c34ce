#include <algorithm>
#include <cmath>
#include <limits>

#include "core/lrn.h"

namespace qcnn {
namespace {

// What float makes of a value, but for rounding.
double in_range(double value) {
  constexpr double kMost = static_cast<double>(std::numeric_limits<float>::max());
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return value > kMost ? kInfinity : value < -kMost ? -kInfinity : value;
}

}  // namespace

void lrn_reference(const LrnShape& shape, int64_t count, const float* input, float* output) {
  const int64_t channels = shape.channels;
  const int64_t radius = std::min(shape.radius, channels);
  for (int64_t p = 0; p < count; ++p, input += channels, output += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t last = std::min(c + radius, channels - 1);
      double sum = 0;
      for (int64_t j = std::max<int64_t>(c - radius, 0); j <= last; ++j) {
        sum += static_cast<double>(input[j]) * static_cast<double>(input[j]);
      }
      const double s = in_range(shape.bias + shape.alpha * in_range(sum));
      const double power = std::pow(s, -shape.beta);
      output[c] = static_cast<float>(input[c] * power);
    }
  }
}

void max_reference(int64_t channels, int64_t count, const float* const* pixels, float* output) {
  for (int64_t c = 0; c < channels; ++c) {
    output[c] = pixels[0][c];
    for (int64_t i = 1; i < count; ++i) {
      const float x = pixels[i][c];
      if (x > output[c] || std::isnan(x)) output[c] = x;
    }
  }
}

}  // namespace qcnn
