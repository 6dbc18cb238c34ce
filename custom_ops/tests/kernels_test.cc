// Every kernel against a naive dense layer with the decoded weights.
#include "core/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "random_layer.h"

namespace qcnn {
namespace {

int64_t pick(std::mt19937* random, std::initializer_list<int64_t> values) {
  return values.begin()[(*random)() % values.size()];
}

class Kernels : public testing::TestWithParam<const char*> {
 protected:
  const Kernel& kernel() { return *select_kernel(GetParam()); }

  // max|a - b| <= 1e-4 max|b|: float32 sums of up to some thousand terms against double ones.
  static void expect_close(const std::vector<float>& a, const std::vector<double>& b,
                           const std::string& what) {
    ASSERT_EQ(a.size(), b.size());
    double largest = 0, worst = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      largest = std::max(largest, std::abs(b[i]));
      worst = std::max(worst, std::abs(a[i] - b[i]));
    }
    EXPECT_LE(worst, 1e-4 * largest + 1e-30) << what;
  }
};

TEST_P(Kernels, ConvolutionsOfRandomShapes) {
  std::mt19937 random(20161);
  for (int round = 0; round < 300; ++round) {
    ConvShape s;
    s.groups = pick(&random, {1, 1, 2, 3});
    s.in_channels = s.groups * pick(&random, {1, 3, 4, 8, 11, 16});
    s.out_channels = s.groups * pick(&random, {1, 2, 5, 16, 33});
    s.kernel_h = pick(&random, {1, 2, 3, 5});
    s.kernel_w = pick(&random, {1, 3, 4});
    s.stride_h = pick(&random, {1, 1, 2, 4});
    s.stride_w = pick(&random, {1, 2, 3});
    s.dilation_h = pick(&random, {1, 1, 2});
    s.dilation_w = pick(&random, {1, 3});
    s.batch = pick(&random, {1, 1, 3});
    s.in_h = pick(&random, {1, 5, 8, 13});
    s.in_w = pick(&random, {1, 4, 9, 17});
    s.pad_top = pick(&random, {0, 1, 4});
    s.pad_left = pick(&random, {0, 2, 5});
    s.out_h = pick(&random, {1, 4, 9});  // rows behind the input count as padding
    s.out_w = pick(&random, {1, 5, 12});
    s.activation = static_cast<Activation>(random() % 4);
    const Layout layout = {s.in_channels,
                           s.out_channels,
                           s.kernel_h * s.kernel_w,
                           s.groups,
                           pick(&random, {1, 2, 3, 7, 16, 100, 128, 256}),
                           pick(&random, {1, 2, 3, 4, 8, 16}),
                           static_cast<int>(random() % 3),
                           random() % 2 == 0,
                           random() % 2 == 0};
    const Codes codes = random_codes(&random, layout);
    const auto input = random_floats(&random, s.batch * s.in_h * s.in_w * s.in_channels);
    std::vector<float> output(static_cast<size_t>(s.batch * s.out_h * s.out_w * s.out_channels));
    std::vector<float> scratch(static_cast<size_t>(kernel().qconv_scratch(s, codes)));
    kernel().qconv(s, codes, input.data(), output.data(), scratch.data());
    expect_close(output, naive_conv(s, codes, input), "round " + std::to_string(round));
  }
}

TEST_P(Kernels, FullyConnectedLayersOfRandomShapes) {
  std::mt19937 random(20162);
  for (int round = 0; round < 200; ++round) {
    FcShape s;
    s.rows = pick(&random, {1, 1, 2, 7});
    s.in_channels = pick(&random, {1, 3, 17, 64, 301});
    s.out_channels = pick(&random, {1, 5, 64, 257});
    s.activation = static_cast<Activation>(random() % 4);
    const Layout layout = {s.in_channels,
                           s.out_channels,
                           1,
                           1,
                           pick(&random, {1, 2, 5, 16, 32, 200, 256}),
                           pick(&random, {1, 2, 3, 4, 9}),
                           static_cast<int>(random() % 2),
                           random() % 2 == 0,
                           random() % 2 == 0};
    const Codes codes = random_codes(&random, layout);
    const auto input = random_floats(&random, s.rows * s.in_channels);
    std::vector<float> output(static_cast<size_t>(s.rows * s.out_channels));
    std::vector<float> scratch(static_cast<size_t>(kernel().qfc_scratch(s, codes)));
    kernel().qfc(s, codes, input.data(), output.data(), scratch.data());
    expect_close(output, naive_fc(s, codes, input), "round " + std::to_string(round));
  }
}

TEST_P(Kernels, NanStaysNan) {
  std::mt19937 random(3);
  const FcShape s = {1, 8, 4, Activation::kRelu6};
  const Codes codes = random_codes(&random, {8, 4, 1, 1, 16, 4, 1, true, true});
  auto input = random_floats(&random, 8);
  input[5] = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> output(4), scratch(static_cast<size_t>(kernel().qfc_scratch(s, codes)));
  kernel().qfc(s, codes, input.data(), output.data(), scratch.data());
  for (float value : output) EXPECT_TRUE(std::isnan(value));
}

INSTANTIATE_TEST_SUITE_P(All, Kernels, testing::Values("reference", "auto"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Selection, UnknownNamesAreRefused) {
  EXPECT_EQ(select_kernel("no such kernel"), nullptr);
  EXPECT_STREQ(select_kernel("reference")->name, "reference");
  EXPECT_NE(select_kernel(nullptr), nullptr);
}

}  // namespace
}  // namespace qcnn
