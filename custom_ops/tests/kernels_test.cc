// Every kernel against a naive dense layer with the decoded weights.
#include "core/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <tuple>

#include "core/aligned.h"
#include "random_layer.h"

namespace qcnn {
namespace {

// Plans a layer and runs it once. The scratch holds what a layer before may have left.
template <typename Layer, typename Shape>
void run(Layer* layer, const Shape& shape, int threads, const std::vector<float>& input,
         std::vector<float>* output) {
  layer->plan(shape, threads);
  AlignedArray<unsigned char> scratch(static_cast<int64_t>(layer->memory().scratch));
  std::fill_n(scratch.data(), scratch.size(), static_cast<unsigned char>(0xff));  // NaN, -1
  layer->run(input.data(), output->data(), scratch.data());
}

int64_t pick(std::mt19937* random, std::initializer_list<int64_t> values) {
  return values.begin()[(*random)() % values.size()];
}

std::vector<float> run_conv(const Kernel& kernel, const ConvShape& s, const Codes& codes,
                            const std::vector<float>& input, int threads = 1) {
  const int64_t pixels = s.pooled() ? s.pooled_h * s.pooled_w : s.out_h * s.out_w;
  std::vector<float> output(static_cast<size_t>(s.batch * pixels * s.out_channels), -12345.0f);
  run(kernel.conv(s, codes).get(), s, threads, input, &output);
  return output;
}

std::vector<float> run_fc(const Kernel& kernel, const FcShape& s, const Codes& codes,
                          const std::vector<float>& input, int threads = 1) {
  std::vector<float> output(static_cast<size_t>(s.rows * s.out_channels));
  run(kernel.fc(s, codes).get(), s, threads, input, &output);
  return output;
}

ConvShape random_conv(std::mt19937* random) {
  ConvShape s;
  s.groups = pick(random, {1, 1, 2, 3});
  s.in_channels = s.groups * pick(random, {1, 3, 4, 8, 11, 16, 40});
  s.out_channels = s.groups * pick(random, {1, 2, 5, 16, 33});
  s.kernel_h = pick(random, {1, 2, 3, 5, 7});
  s.kernel_w = pick(random, {1, 3, 4, 5, 7, 11});
  s.stride_h = pick(random, {1, 1, 2, 4});
  s.stride_w = pick(random, {1, 1, 2, 3});
  s.dilation_h = pick(random, {1, 1, 2, 7});
  s.dilation_w = pick(random, {1, 1, 3, 13});
  s.batch = pick(random, {1, 1, 3});
  s.in_h = pick(random, {1, 5, 8, 13, 40});
  s.in_w = pick(random, {1, 4, 9, 17, 70});
  s.pad_top = pick(random, {0, 1, 4});
  s.pad_left = pick(random, {0, 2, 5});
  s.out_h = pick(random, {1, 4, 9, 34});  // rows behind the input count as padding
  s.out_w = pick(random, {1, 5, 12, 65});
  if (random->operator()() % 6 == 0) {  // a 1x1 convolution, with nothing around it
    s.kernel_h = s.kernel_w = s.stride_h = s.stride_w = 1;
    s.pad_top = s.pad_left = 0;
    s.out_h = s.in_h;
    s.out_w = s.in_w;
  }
  s.activation = static_cast<Activation>((*random)() % 4);
  return s;
}

Layout random_layout(std::mt19937* random, const ConvShape& s) {
  Layout layout;
  layout.channels = s.in_channels;
  layout.outputs = s.out_channels;
  layout.taps = s.kernel_h * s.kernel_w;
  layout.groups = s.groups;
  layout.K = pick(random, {1, 2, 3, 4, 7, 16, 32, 33, 64, 100, 128, 200, 256});
  layout.d = pick(random, {1, 2, 3, 4, 5, 6, 8, 9, 16, 20});
  layout.sharing = static_cast<int>((*random)() % 3);
  layout.bias = (*random)() % 2 == 0;
  layout.scale = (*random)() % 2 == 0;
  return layout;
}

class Kernels : public testing::TestWithParam<const Kernel*> {
 protected:
  void SetUp() override {
    if (!kernel().available()) GTEST_SKIP() << "this CPU lacks " << kernel().features;
  }

  const Kernel& kernel() { return *GetParam(); }

  // float32 sums, and tables rounded to int16.
  double tolerance() { return std::strcmp(kernel().name, "reference") == 0 ? 1e-5 : 5e-3; }

  void expect_close(const std::vector<float>& output, const Answer& answer,
                    const std::string& what) {
    ASSERT_EQ(output.size(), answer.output.size());
    double error = 0;
    for (size_t i = 0; i < output.size(); ++i) {
      error = std::hypot(error, output[i] - answer.output[i]);
    }
    double norm = 0;
    for (double value : answer.output) norm = std::hypot(norm, value);
    EXPECT_LE(error, tolerance() * answer.size + 1e-6 * norm + 1e-30) << what;
  }
};

TEST_P(Kernels, ConvolutionsOfRandomShapes) {
  std::mt19937 random(20161);
  for (int round = 0; round < 300; ++round) {
    const ConvShape s = random_conv(&random);
    const Layout layout = random_layout(&random, s);
    const Codes codes = random_codes(&random, layout);
    const auto input = random_floats(&random, s.batch * s.in_h * s.in_w * s.in_channels);
    const auto output = run_conv(kernel(), s, codes, input);
    expect_close(output, naive_conv(s, codes, input.data()),
                 "round " + std::to_string(round) + " K " + std::to_string(layout.K) + " d " +
                     std::to_string(layout.d));
  }
}

// Layers as the papers' networks have them, on less input.
TEST_P(Kernels, ConvolutionsOfRealShapes) {
  std::mt19937 random(20163);
  const struct {
    int64_t size, channels, outputs, kernel, stride, pad, groups, K, d;
  } cases[] = {
      {67, 3, 96, 11, 4, 0, 1, 128, 3},  {27, 96, 64, 5, 1, 2, 2, 128, 8},
      {13, 256, 48, 3, 1, 1, 1, 128, 8}, {18, 128, 64, 3, 1, 1, 1, 128, 8},
      {61, 3, 24, 7, 2, 0, 1, 128, 3},   {56, 64, 32, 3, 1, 1, 1, 128, 6},
      {28, 96, 64, 1, 1, 0, 1, 256, 2},  {14, 160, 64, 3, 1, 1, 1, 256, 8},
      {14, 256, 100, 1, 1, 0, 1, 64, 4}, {7, 512, 32, 1, 1, 0, 1, 256, 9},
      {28, 128, 64, 3, 2, 1, 1, 128, 4}, {56, 64, 96, 1, 2, 0, 1, 32, 2},
      {224, 16, 8, 3, 1, 1, 1, 16, 4},   {15, 24, 20, 3, 1, 1, 1, 256, 1},
  };
  for (const auto& c : cases) {
    ConvShape s;
    s.batch = 1;
    s.in_h = s.in_w = c.size;
    s.in_channels = c.channels;
    s.out_channels = c.outputs;
    s.kernel_h = s.kernel_w = c.kernel;
    s.stride_h = s.stride_w = c.stride;
    s.pad_top = s.pad_left = c.pad;
    s.groups = c.groups;
    s.out_h = s.out_w = (c.size + 2 * c.pad - c.kernel) / c.stride + 1;
    const Codes codes = random_codes(
        &random, {c.channels, c.outputs, c.kernel * c.kernel, c.groups, c.K, c.d, 1, true, false});
    auto input = random_floats(&random, c.size * c.size * c.channels);
    for (float& value : input) value = std::max(value, 0.0f);  // as after ReLU
    expect_close(run_conv(kernel(), s, codes, input), naive_conv(s, codes, input.data()),
                 std::to_string(c.channels) + " to " + std::to_string(c.outputs) + " channels");
  }
}

// 2x2 max pooling with stride 2 of [batch][out_h][out_w][out_channels].
std::vector<float> max_pool(const ConvShape& s, const std::vector<float>& x) {
  std::vector<float> pooled;
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t y = 0; y < s.pooled_h; ++y)
      for (int64_t l = 0; l < s.pooled_w; ++l)
        for (int64_t c = 0; c < s.out_channels; ++c) {
          float most = -std::numeric_limits<float>::infinity();
          for (int64_t i = 2 * y; i < std::min(2 * y + 2, s.out_h); ++i)
            for (int64_t j = 2 * l; j < std::min(2 * l + 2, s.out_w); ++j) {
              const float value =
                  x[static_cast<size_t>(((n * s.out_h + i) * s.out_w + j) * s.out_channels + c)];
              if (value > most || std::isnan(value)) most = value;
            }
          pooled.push_back(most);
        }
  return pooled;
}

TEST_P(Kernels, PoolingDoesNotChangeABit) {
  if (!kernel().pools) GTEST_SKIP() << "leaves pooling to the host";
  std::mt19937 random(20166);
  for (int round = 0; round < 200; ++round) {
    ConvShape s = random_conv(&random);
    if (s.kernel_h * s.kernel_w == 1) continue;
    s.out_h = pick(&random, {2, 3, 8, 13, 35});
    s.out_w = pick(&random, {2, 5, 12, 31, 66});
    const Codes codes = random_codes(&random, random_layout(&random, s));
    auto input = random_floats(&random, s.batch * s.in_h * s.in_w * s.in_channels);
    if (round % 10 == 0) input[input.size() / 2] = std::numeric_limits<float>::quiet_NaN();
    const auto all = run_conv(kernel(), s, codes, input);
    const int64_t up = round % 2;
    s.pooled_h = (s.out_h + up) / 2;
    s.pooled_w = (s.out_w + up) / 2;
    const auto wanted = max_pool(s, all);
    for (int threads : {1, 3}) {
      const auto pooled = run_conv(kernel(), s, codes, input, threads);
      for (size_t i = 0; i < wanted.size(); ++i) {
        ASSERT_TRUE(pooled[i] == wanted[i] || (std::isnan(pooled[i]) && std::isnan(wanted[i])))
            << "round " << round << ", " << s.out_h << "x" << s.out_w << ", output " << i << ": "
            << pooled[i] << " instead of " << wanted[i];
      }
    }
  }
}

TEST_P(Kernels, FullyConnectedLayersOfRandomShapes) {
  std::mt19937 random(20162);
  for (int round = 0; round < 200; ++round) {
    FcShape s;
    s.rows = pick(&random, {1, 1, 2, 7, 8, 33});
    s.in_channels = pick(&random, {1, 3, 17, 64, 301, 1024});
    s.out_channels = pick(&random, {1, 5, 64, 257, 600});
    s.activation = static_cast<Activation>(random() % 4);
    const Layout layout = {s.in_channels,
                           s.out_channels,
                           1,
                           1,
                           pick(&random, {1, 2, 3, 4, 5, 16, 32, 50, 64, 128, 200, 256}),
                           pick(&random, {1, 2, 3, 4, 8, 9}),
                           static_cast<int>(random() % 2),
                           random() % 2 == 0,
                           random() % 2 == 0};
    const Codes codes = random_codes(&random, layout);
    const auto input = random_floats(&random, s.rows * s.in_channels);
    expect_close(run_fc(kernel(), s, codes, input), naive_fc(s, codes, input.data()),
                 "round " + std::to_string(round) + " K " + std::to_string(layout.K) + " d " +
                     std::to_string(layout.d));
  }
}

// Tables of 4.6 MB: more than any L2 cache takes at once.
TEST_P(Kernels, TablesOfAFullyConnectedLayerInWaves) {
  std::mt19937 random(20170);
  const FcShape s = {2, 9001, 300, Activation::kNone};
  const Codes codes = random_codes(&random, {9001, 300, 1, 1, 250, 1, 1, true, true});
  const auto input = random_floats(&random, s.rows * s.in_channels);
  const auto output = run_fc(kernel(), s, codes, input);
  expect_close(output, naive_fc(s, codes, input.data()), "one thread");
  EXPECT_EQ(run_fc(kernel(), s, codes, input, 3), output);
}

TEST_P(Kernels, ThreadsDoNotChangeABit) {
  std::mt19937 random(20164);
  for (int round = 0; round < 40; ++round) {
    const ConvShape s = random_conv(&random);
    const Codes codes = random_codes(&random, random_layout(&random, s));
    const auto input = random_floats(&random, s.batch * s.in_h * s.in_w * s.in_channels);
    const auto one = run_conv(kernel(), s, codes, input, 1);
    for (int threads : {2, 3, 4, 8}) {
      const auto many = run_conv(kernel(), s, codes, input, threads);
      ASSERT_EQ(0, std::memcmp(one.data(), many.data(), one.size() * sizeof(float)))
          << "round " << round << ", " << threads << " threads";
    }
    const FcShape fc = {pick(&random, {1, 3, 20}), pick(&random, {64, 301}),
                        pick(&random, {5, 700, 2600}), Activation::kRelu};
    const Codes fc_codes = random_codes(&random, {fc.in_channels, fc.out_channels, 1, 1,
                                                  pick(&random, {4, 32, 256}), 2, 1, true, true});
    const auto rows = random_floats(&random, fc.rows * fc.in_channels);
    const auto alone = run_fc(kernel(), fc, fc_codes, rows, 1);
    for (int threads : {2, 3, 4, 8}) {
      const auto many = run_fc(kernel(), fc, fc_codes, rows, threads);
      ASSERT_EQ(0, std::memcmp(alone.data(), many.data(), alone.size() * sizeof(float)));
    }
  }
}

// An interpreter may resize its input: the same layer then gives what a new one would.
TEST_P(Kernels, LayersCanBePlannedAgain) {
  std::mt19937 random(20165);
  ConvShape s;
  s.in_channels = 12;
  s.out_channels = 20;
  s.kernel_h = s.kernel_w = 3;
  const Codes codes = random_codes(&random, {12, 20, 9, 1, 64, 4, 1, true, true});
  const auto layer = kernel().conv(s, codes);
  for (int64_t size : {9, 40, 3, 9}) {
    for (int64_t stride : {1, 1}) {
      s.batch = size == 3 ? 2 : 1;
      s.in_h = size;
      s.in_w = size + 5;
      s.stride_h = s.stride_w = stride;
      s.pad_top = s.pad_left = 1;
      s.out_h = s.in_h;
      s.out_w = s.in_w;
      const auto input = random_floats(&random, s.batch * s.in_h * s.in_w * s.in_channels);
      std::vector<float> output(static_cast<size_t>(s.batch * s.out_h * s.out_w * 20));
      run(layer.get(), s, 2, input, &output);
      EXPECT_EQ(output, run_conv(kernel(), s, codes, input)) << size;
    }
  }
  // Codebooks of subspaces, and palettes: one codebook of scalars.
  for (const auto& [K, d, sharing] : {std::make_tuple(32, 4, 1), std::make_tuple(128, 4, 1),
                                      std::make_tuple(256, 1, 0), std::make_tuple(4, 1, 0)}) {
    FcShape fc = {1, 30, 300, Activation::kNone};
    const Codes fc_codes = random_codes(&random, {30, 300, 1, 1, K, d, sharing, true, true});
    const auto fc_layer = kernel().fc(fc, fc_codes);
    for (int64_t rows : {1, 40, 3, 9, 1}) {
      fc.rows = rows;
      const auto input = random_floats(&random, rows * 30);
      std::vector<float> output(static_cast<size_t>(rows * 300));
      run(fc_layer.get(), fc, 2, input, &output);
      EXPECT_EQ(output, run_fc(kernel(), fc, fc_codes, input)) << rows << " rows, K " << K;
    }
  }
}

TEST_P(Kernels, NanStaysNan) {
  std::mt19937 random(3);
  for (float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (int64_t rows : {1, 12}) {
      const FcShape s = {rows, 8, 4, Activation::kNone};
      const Codes codes = random_codes(&random, {8, 4, 1, 1, 16, 4, 1, true, true});
      auto input = random_floats(&random, 8 * rows);
      for (int64_t r = 0; r < rows; ++r) input[static_cast<size_t>(8 * r + 5)] = bad;
      for (float value : run_fc(kernel(), s, codes, input)) EXPECT_FALSE(std::isfinite(value));
    }
    ConvShape s;
    s.batch = 1;
    s.in_h = s.in_w = s.out_h = s.out_w = 3;
    s.in_channels = 4;
    s.out_channels = 5;
    s.kernel_h = s.kernel_w = 3;
    s.pad_top = s.pad_left = 1;
    const Codes codes = random_codes(&random, {4, 5, 9, 1, 16, 2, 1, true, false});
    auto input = random_floats(&random, 36);
    input[4 * 4] = bad;  // the middle: every output reads it
    for (float value : run_conv(kernel(), s, codes, input)) EXPECT_FALSE(std::isfinite(value));
  }
}

// Nothing but the bias, and no division by zero.
TEST_P(Kernels, ZeroInputs) {
  std::mt19937 random(4);
  const FcShape s = {1, 64, 9, Activation::kNone};
  Codes codes = random_codes(&random, {64, 9, 1, 1, 32, 4, 1, true, true});
  const std::vector<float> zeros(64);
  EXPECT_EQ(run_fc(kernel(), s, codes, zeros), codes.bias);
  std::fill(codes.codebooks.begin(), codes.codebooks.end(), 0.0f);
  EXPECT_EQ(run_fc(kernel(), s, codes, random_floats(&random, 64)), codes.bias);
}

// Inputs and weights of any size: the scale of the tables follows them.
TEST_P(Kernels, LargeAndSmallValues) {
  std::mt19937 random(5);
  for (float inputs : {1e-12f, 1e12f}) {
    for (float weights : {1e-12f, 1e6f}) {
      const FcShape s = {1, 64, 40, Activation::kNone};
      Codes codes = random_codes(&random, {64, 40, 1, 1, 32, 4, 1, false, false});
      for (float& value : codes.codebooks) value *= weights;
      auto input = random_floats(&random, 64);
      for (float& value : input) value *= inputs;
      expect_close(run_fc(kernel(), s, codes, input), naive_fc(s, codes, input.data()),
                   std::to_string(inputs) + " " + std::to_string(weights));
    }
  }
}

// An image that is, where output c of output row c % out_h looks, that output's weights: all ('w'),
// only the positive ('+') or the negative ones ('-'), or those and the negative ones of the last
// kernel row ('r') or of the first 15 channels ('c').
std::vector<float> aligned_image(const ConvShape& s, const Codes& codes, int64_t c, char taken) {
  const int64_t channels = s.in_channels / s.groups, group = c / (s.out_channels / s.groups);
  std::vector<float> image(static_cast<size_t>(s.in_h * s.in_w * s.in_channels));
  for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
    for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
      for (int64_t j = 0; j < channels; ++j) {
        const auto w = static_cast<float>(weight(codes, s.out_channels, s.kernel_h * s.kernel_w,
                                                 s.groups, c, ky * s.kernel_w + kx, j));
        const bool whole =
            taken == 'w' || (taken == 'r' && ky == s.kernel_h - 1) || (taken == 'c' && j < 15);
        const int64_t y = c % s.out_h * s.stride_h + ky;
        image[static_cast<size_t>((y * s.in_w + kx) * s.in_channels + group * channels + j)] =
            whole ? w : std::max(taken == '-' ? -w : w, 0.0f);
      }
    }
  }
  return image;
}

// No other inputs of their size have a larger response than aligned_image(), and its sum is as
// large as an int16 may be.
TEST_P(Kernels, LargestResponses) {
  struct Case {
    int64_t channels, outputs, groups, kernel, stride, in_h, out_h, batch;
  };
  std::mt19937 random(20167);
  for (const Case& of : {Case{3, 21, 1, 3, 1, 9, 7, 1}, Case{40, 21, 1, 3, 1, 9, 7, 2},
                         Case{100, 9, 1, 3, 1, 9, 7, 1}, Case{24, 20, 2, 3, 1, 9, 7, 1},
                         Case{6, 8, 1, 11, 4, 19, 3, 1}, Case{40, 21, 1, 1, 1, 9, 9, 1}}) {
    for (int64_t d : {1, 3, 4, 8}) {
      ConvShape s;
      s.batch = of.batch;
      s.in_h = of.in_h;
      s.in_w = s.kernel_h = s.kernel_w = of.kernel;
      s.stride_h = of.stride;
      s.out_h = of.out_h;
      s.out_w = 1;
      s.in_channels = of.channels;
      s.out_channels = of.outputs;
      s.groups = of.groups;
      Codes codes = random_codes(&random, {of.channels, of.outputs, of.kernel * of.kernel,
                                           of.groups, 16, d, 1, false, false});
      // No codeword weighs more than another, so that the sum is what limits the scale.
      for (float& value : codes.codebooks) value = value < 0 ? -1.0f : 1.0f;
      for (int64_t c = 0; c < of.outputs; ++c) {
        for (const char taken : {'w', '+', '-', 'r', 'c'}) {
          std::vector<float> input;
          for (int64_t n = 0; n < of.batch; ++n) {
            const auto image = aligned_image(s, codes, c, n == 0 && of.batch > 1 ? '+' : taken);
            input.insert(input.end(), image.begin(), image.end());
          }
          // Values of one size do not round at random; a sum that wrapped is off by its own size.
          const auto output = run_conv(kernel(), s, codes, input);
          const Answer answer = naive_conv(s, codes, input.data());
          double largest = 0;
          for (double value : answer.output) largest = std::max(largest, std::abs(value));
          for (size_t i = 0; i < output.size(); ++i) {
            ASSERT_NEAR(output[i], answer.output[i], 0.03 * largest)
                << of.channels << " channels, kernel " << of.kernel << ", d " << d << ", output "
                << c << ", input " << taken;
          }
        }
      }
    }
  }
}

// Rows of a batch, or tokens: those of a 1x1 convolution and those that are done one by one.
TEST_P(Kernels, RowsDoNotChangeEachOther) {
  std::mt19937 random(20170);
  for (const int64_t K : {16, 256}) {
    const FcShape s = {12, 48, 40, Activation::kNone};
    const Codes codes = random_codes(&random, {48, 40, 1, 1, K, 4, 1, true, true});
    std::vector<float> input = random_floats(&random, 12 * 48);
    for (float& value : input) value = std::abs(value);
    const auto before = run_fc(kernel(), s, codes, input);
    for (const float last : {-1.0f, 1e6f, std::numeric_limits<float>::quiet_NaN()}) {
      input.back() = last;
      const auto after = run_fc(kernel(), s, codes, input);
      EXPECT_TRUE(std::equal(before.begin(), before.end() - 40, after.begin())) << K << " " << last;
    }
  }
}

// Behind a ReLU the bound of the response is tighter, and the tables are finer.
TEST_P(Kernels, InputsWithoutNegativesAreMoreAccurate) {
  for (const char* other : {"reference", "neon_dotprod"}) {
    if (std::strcmp(kernel().name, other) == 0) GTEST_SKIP() << "has no tables of int16";
  }
  std::mt19937 random(20168);
  ConvShape s;
  s.batch = 1;
  s.in_h = s.in_w = s.out_h = s.out_w = 20;
  s.kernel_h = s.kernel_w = 3;
  s.pad_top = s.pad_left = 1;
  s.in_channels = 32;
  s.out_channels = 40;
  const Codes codes = random_codes(&random, {32, 40, 9, 1, 64, 4, 1, false, false});
  std::vector<float> input = random_floats(&random, s.in_h * s.in_w * s.in_channels);
  for (float& value : input) value = std::max(value - 0.8f, 0.0f);
  const Answer answer = naive_conv(s, codes, input.data());
  const auto error = [&] {
    const auto output = run_conv(kernel(), s, codes, input);
    double sum = 0;
    for (size_t i = 0; i < output.size(); ++i) sum = std::hypot(sum, output[i] - answer.output[i]);
    return sum;
  };
  const double positive = error();
  input.back() = -1e-6f;
  EXPECT_LT(positive, 0.9 * error());
}

// Squares of inputs leave float's normal numbers, on either side.
TEST_P(Kernels, ConvolutionsOfLargeAndSmallValues) {
  std::mt19937 random(20169);
  ConvShape s;
  s.batch = 1;
  s.in_h = s.in_w = s.kernel_h = s.kernel_w = 3;
  s.out_h = s.out_w = 1;
  s.in_channels = 45;
  s.out_channels = 20;
  Codes codes = random_codes(&random, {45, 20, 9, 1, 16, 4, 1, false, false});
  for (float& value : codes.codebooks) value = value < 0 ? -1.0f : 1.0f;
  for (const float size : {1e-25f, 1e-22f, 1e-20f, 1e-12f, 1e12f, 1e17f, 3e17f}) {
    for (const char taken : {'w', '+'}) {
      auto input = aligned_image(s, codes, 3, taken);
      for (float& value : input) value *= size;
      const Answer answer = naive_conv(s, codes, input.data());
      double largest = 0;
      for (double value : answer.output) largest = std::max(largest, std::abs(value));
      const auto output = run_conv(kernel(), s, codes, input);
      for (size_t i = 0; i < output.size(); ++i) {
        // Where squares are denormal, or 0 to a processor, entries are coarse and may all be 0.
        const bool tiny = size < 1e-18f;
        const double lost = tiny ? 1.03 * std::abs(answer.output[i]) : 0;
        ASSERT_NEAR(output[i], answer.output[i], (tiny ? 0.1 : 0.03) * largest + lost)
            << size << " " << taken;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Kernels, testing::ValuesIn(kernels()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST(Selection, UnknownNamesAreRefused) {
  EXPECT_EQ(select_kernel("no such kernel"), nullptr);
  EXPECT_STREQ(select_kernel("reference")->name, "reference");
  ASSERT_NE(select_kernel(nullptr), nullptr);
  EXPECT_EQ(select_kernel(nullptr), select_kernel("auto"));
  EXPECT_TRUE(select_kernel("auto")->available());
}

}  // namespace
}  // namespace qcnn
