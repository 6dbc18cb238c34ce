#include "core/qconv_reference.h"

#include <algorithm>
#include <cassert>
#include <utility>
#include <vector>

#include "core/activation.h"
#include "core/aligned.h"

namespace qcnn {
namespace {

// First output position >= 0 whose input index position * stride + offset is >= 0.
int64_t first_position(int64_t offset, int64_t stride) {
  return offset >= 0 ? 0 : (-offset + stride - 1) / stride;
}

// One past the last output position < count whose input index is < size.
int64_t last_position(int64_t offset, int64_t stride, int64_t size, int64_t count) {
  if (size - 1 - offset < 0) return 0;
  return std::min(count, (size - 1 - offset) / stride + 1);
}

// table[k][x] = <codeword k, channels first .. first + width - 1 of pixel x>
//
// codebook: [K][d]; row: [in_w][in_channels]; pixels: [d][in_w], scratch; table: [K][in_w].
void build_table(const ConvShape& s, const Codes& codes, const float* codebook, const float* row,
                 int64_t first, int64_t width, float* __restrict pixels, float* __restrict table) {
  for (int64_t x = 0; x < s.in_w; ++x) {
    for (int64_t j = 0; j < width; ++j) pixels[j * s.in_w + x] = row[x * s.in_channels + first + j];
  }
  for (int64_t k = 0; k < codes.K; ++k) {
    float* __restrict entry = table + k * s.in_w;
    const float* word = codebook + k * codes.d;
    for (int64_t x = 0; x < s.in_w; ++x) entry[x] = word[0] * pixels[x];
    for (int64_t j = 1; j < width; ++j) {
      const float factor = word[j];
      const float* channel = pixels + j * s.in_w;
      for (int64_t x = 0; x < s.in_w; ++x) entry[x] += factor * channel[x];
    }
  }
}

// Adds what one input row contributes to one output row through kernel row ky.
//
// codes: [outputs][kernel_h][kernel_w] of the group and subspace; table: [K][in_w];
// sums: [outputs][out_w].
void add_row(const ConvShape& s, const uint8_t* codes, int64_t outputs, int64_t ky,
             const float* table, float* sums) {
  for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
    const int64_t offset = kx * s.dilation_w - s.pad_left;
    const int64_t begin = first_position(offset, s.stride_w);
    const int64_t end = last_position(offset, s.stride_w, s.in_w, s.out_w);
    for (int64_t c = 0; c < outputs; ++c) {
      const uint8_t code = codes[(c * s.kernel_h + ky) * s.kernel_w + kx];
      const float* entry = table + code * s.in_w;
      float* __restrict sum = sums + c * s.out_w;
      if (s.stride_w == 1) {
        for (int64_t x = begin; x < end; ++x) sum[x] += entry[x + offset];
      } else {
        for (int64_t x = begin; x < end; ++x) sum[x] += entry[x * s.stride_w + offset];
      }
    }
  }
}

class ReferenceConv final : public ConvLayer {
 public:
  explicit ReferenceConv(Codes codes) : codes_(std::move(codes)) {}

  void plan(const ConvShape& shape, int) override {
    assert(!shape.pooled());
    shape_ = shape;
    scratch_ = place(nullptr);
  }

  void run(const float* input, float* output, unsigned char* scratch) override;

  Memory memory() const override { return {codes_.bytes(), scratch_}; }

 private:
  // Divides the scratch and returns its size; null to learn that.
  size_t place(unsigned char* scratch) {
    AlignedPieces pieces(scratch);
    table_ = pieces.take<float>(codes_.K * shape_.in_w);
    pixels_ = pieces.take<float>(codes_.d * shape_.in_w);
    sums_ = pieces.take<float>(shape_.out_h * shape_.out_w * (shape_.out_channels / shape_.groups));
    return pieces.bytes();
  }

  Codes codes_;
  ConvShape shape_;
  size_t scratch_ = 0;
  float* table_ = nullptr;   // [K][in_w]
  float* pixels_ = nullptr;  // [d][in_w]
  float* sums_ = nullptr;    // [out_h][outputs][out_w]
};

void ReferenceConv::run(const float* input, float* output, unsigned char* scratch) {
  const ConvShape& s = shape_;
  const Codes& codes = codes_;
  assert(input != nullptr && output != nullptr && scratch != nullptr);
  assert(s.groups > 0 && s.in_channels % s.groups == 0 && s.out_channels % s.groups == 0);
  const int64_t channels = s.in_channels / s.groups;
  const int64_t outputs = s.out_channels / s.groups;
  const int64_t taps = s.kernel_h * s.kernel_w;
  assert(codes.M == (channels + codes.d - 1) / codes.d);

  place(scratch);
  float* sums = sums_;
  for (int64_t n = 0; n < s.batch; ++n) {
    const float* image = input + n * s.in_h * s.in_w * s.in_channels;
    float* result = output + n * s.out_h * s.out_w * s.out_channels;
    for (int64_t g = 0; g < s.groups; ++g) {
      std::fill(sums, sums + s.out_h * outputs * s.out_w, 0.0f);
      for (int64_t y = 0; y < s.in_h; ++y) {
        for (int64_t m = 0; m < codes.M; ++m) {
          const int64_t first = m * codes.d;
          const int64_t width = std::min(codes.d, channels - first);
          const uint8_t* rows = codes.codes.data() + (m * s.out_channels + g * outputs) * taps;
          bool built = false;
          for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
            const int64_t from = y + s.pad_top - ky * s.dilation_h;
            if (from < 0 || from % s.stride_h != 0 || from / s.stride_h >= s.out_h) continue;
            if (!built) {
              build_table(s, codes, codes.codebook(g, m), image + y * s.in_w * s.in_channels,
                          g * channels + first, width, pixels_, table_);
              built = true;
            }
            add_row(s, rows, outputs, ky, table_, sums + from / s.stride_h * outputs * s.out_w);
          }
        }
      }
      for (int64_t y = 0; y < s.out_h; ++y) {
        for (int64_t x = 0; x < s.out_w; ++x) {
          float* pixel = result + (y * s.out_w + x) * s.out_channels + g * outputs;
          for (int64_t c = 0; c < outputs; ++c) {
            pixel[c] =
                finish(sums[(y * outputs + c) * s.out_w + x], codes, g * outputs + c, s.activation);
          }
        }
      }
    }
  }
}

}  // namespace

std::unique_ptr<ConvLayer> make_conv_reference(const ConvShape&, Codes codes) {
  return std::make_unique<ReferenceConv>(std::move(codes));
}

}  // namespace qcnn
