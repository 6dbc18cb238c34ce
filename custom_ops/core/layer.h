// What a kernel works on: shapes and constants of one product-quantized layer.
#ifndef QCNN_CORE_LAYER_H_
#define QCNN_CORE_LAYER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace qcnn {

enum class Activation { kNone = 0, kRelu = 1, kReluN1To1 = 2, kRelu6 = 3 };

// Constants, decoded once in Prepare. The names are the field's: M subspaces of d channels, K
// codewords in a codebook.
struct Codes {
  int64_t M = 0;
  int64_t K = 0;
  int64_t d = 0;
  int64_t codebook_count = 0;    // 1: shared; M: by subspace; groups * M: g * M + j
  std::vector<float> codebooks;  // [codebook_count][K][d]
  std::vector<uint8_t> codes;    // [M][C_out][kH][kW]
  std::vector<float> bias;       // [C_out] or empty
  std::vector<float> scale;      // [C_out] or empty

  // Codebook of subspace m in a group: [K][d].
  const float* codebook(int64_t group, int64_t m) const {
    const int64_t index = codebook_count == 1 ? 0 : codebook_count == M ? m : group * M + m;
    return codebooks.data() + index * K * d;
  }

  size_t bytes() const {
    return codes.size() + (codebooks.size() + bias.size() + scale.size()) * sizeof(float);
  }
};

struct ConvShape {
  int64_t batch = 0, in_h = 0, in_w = 0, in_channels = 0;
  int64_t out_h = 0, out_w = 0, out_channels = 0;
  int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0;
  int64_t groups = 1;
  Activation activation = Activation::kNone;
  // 2x2 max pooling of the outputs with stride 2, out_h / 2 and out_w / 2 rounded up or down: its
  // output takes their place. 0: there is none.
  int64_t pooled_h = 0, pooled_w = 0;

  bool pooled() const { return pooled_h > 0; }
};

struct FcShape {
  int64_t rows = 0, in_channels = 0, out_channels = 0;
  Activation activation = Activation::kNone;
};

// TensorFlow Lite's LOCAL_RESPONSE_NORMALIZATION across the channels of each pixel:
// output[c] = input[c] * (bias + alpha * sum of input[j]^2 over |j - c| <= radius) ^ -beta.
struct LrnShape {
  int64_t channels = 0;
  int64_t radius = 0;
  float bias = 1, alpha = 1, beta = 0.5f;
};

}  // namespace qcnn

#endif  // QCNN_CORE_LAYER_H_
