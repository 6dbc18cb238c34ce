// Random layers, and the naive answer that kernels are held against.
#ifndef QCNN_TESTS_RANDOM_LAYER_H_
#define QCNN_TESTS_RANDOM_LAYER_H_

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "core/layer.h"

namespace qcnn {

inline std::vector<float> random_floats(std::mt19937* random, int64_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(*random);
  return values;
}

struct Layout {
  int64_t channels, outputs, taps, groups, K, d;
  int sharing;  // 0: one codebook, 1: one per subspace, 2: one per group and subspace
  bool bias, scale;
};

inline Codes random_codes(std::mt19937* random, const Layout& l) {
  Codes codes;
  codes.K = l.K;
  codes.d = l.d;
  codes.M = (l.channels / l.groups + l.d - 1) / l.d;
  codes.codebook_count = l.sharing == 0 ? 1 : l.sharing == 1 ? codes.M : l.groups * codes.M;
  codes.codebooks = random_floats(random, codes.codebook_count * l.K * l.d);
  codes.codes.resize(static_cast<size_t>(codes.M * l.outputs * l.taps));
  for (auto& code : codes.codes) code = static_cast<uint8_t>((*random)() % l.K);
  if (l.bias) codes.bias = random_floats(random, l.outputs);
  if (l.scale) codes.scale = random_floats(random, l.outputs);
  return codes;
}

// Decoded weight of an output for a channel of its group at a kernel position, without the scale.
inline double weight(const Codes& codes, int64_t outputs, int64_t taps, int64_t groups, int64_t c,
                     int64_t tap, int64_t channel) {
  const int64_t m = channel / codes.d;
  const int64_t code = codes.codes[static_cast<size_t>((m * outputs + c) * taps + tap)];
  const int64_t group = c / (outputs / groups);
  return codes.codebook(group, m)[code * codes.d + channel % codes.d];
}

inline double naive_activation(double value, Activation activation) {
  if (activation == Activation::kRelu) return value > 0 ? value : 0;
  if (activation == Activation::kRelu6) return value > 6 ? 6 : value > 0 ? value : 0;
  if (activation == Activation::kReluN1To1) return value > 1 ? 1 : value < -1 ? -1 : value;
  return value;
}

// The right answer of a layer.
struct Answer {
  std::vector<double> output;
  // Root of the sum of squares of all products of weights and inputs: how large the output would be
  // if their signs were random. Rounding errors are measured against it, because an output that
  // happens to cancel out says nothing about them.
  double size = 0;

  void add(double sum, double squares, const Codes& codes, int64_t c, Activation activation) {
    const double scale = codes.scale.empty() ? 1 : codes.scale[static_cast<size_t>(c)];
    const double bias = codes.bias.empty() ? 0 : codes.bias[static_cast<size_t>(c)];
    output.push_back(naive_activation(scale * sum + bias, activation));
    size = std::hypot(size, scale * std::sqrt(squares));
  }
};

// Dense convolution on the decoded weights.
inline Answer naive_conv(const ConvShape& s, const Codes& codes, const float* input) {
  Answer answer;
  const int64_t channels = s.in_channels / s.groups;
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t y = 0; y < s.out_h; ++y)
      for (int64_t x = 0; x < s.out_w; ++x)
        for (int64_t c = 0; c < s.out_channels; ++c) {
          const int64_t group = c / (s.out_channels / s.groups);
          double sum = 0, squares = 0;
          for (int64_t ky = 0; ky < s.kernel_h; ++ky)
            for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
              const int64_t iy = y * s.stride_h + ky * s.dilation_h - s.pad_top;
              const int64_t ix = x * s.stride_w + kx * s.dilation_w - s.pad_left;
              if (iy < 0 || iy >= s.in_h || ix < 0 || ix >= s.in_w) continue;
              for (int64_t j = 0; j < channels; ++j) {
                const int64_t at =
                    ((n * s.in_h + iy) * s.in_w + ix) * s.in_channels + group * channels + j;
                const double product =
                    input[at] * weight(codes, s.out_channels, s.kernel_h * s.kernel_w, s.groups, c,
                                       ky * s.kernel_w + kx, j);
                sum += product;
                squares += product * product;
              }
            }
          answer.add(sum, squares, codes, c, s.activation);
        }
  return answer;
}

inline Answer naive_fc(const FcShape& s, const Codes& codes, const float* input) {
  Answer answer;
  for (int64_t r = 0; r < s.rows; ++r)
    for (int64_t c = 0; c < s.out_channels; ++c) {
      double sum = 0, squares = 0;
      for (int64_t j = 0; j < s.in_channels; ++j) {
        const double product =
            input[r * s.in_channels + j] * weight(codes, s.out_channels, 1, 1, c, 0, j);
        sum += product;
        squares += product * product;
      }
      answer.add(sum, squares, codes, c, s.activation);
    }
  return answer;
}

}  // namespace qcnn

#endif  // QCNN_TESTS_RANDOM_LAYER_H_
