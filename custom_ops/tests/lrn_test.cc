// Every LRN kernel that this CPU can run against an independent double-precision answer.
#include "core/lrn.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/aligned.h"
#include "core/kernels.h"
#include "core/lrn_pool.h"

namespace qcnn {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The largest relative error allowed: of the kernels' own roots, and of their exp2 and log2.
constexpr double kRootError = 1e-5, kPowerError = 1e-4;

double naive(const LrnShape& s, const float* pixel, int64_t c) {
  double sum = 0;
  for (int64_t j = 0; j < s.channels; ++j) {
    if (j - c <= s.radius && c - j <= s.radius) sum += double{pixel[j]} * double{pixel[j]};
  }
  return pixel[c] * std::pow(s.bias + s.alpha * sum, -double{s.beta});
}

std::vector<float> normal(size_t size, float scale, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> values(0.0f, scale);
  std::vector<float> x(size);
  for (float& value : x) value = values(random);
  return x;
}

class Lrn : public testing::TestWithParam<const Kernel*> {
 protected:
  void SetUp() override {
    if (!GetParam()->available()) GTEST_SKIP() << "this CPU lacks " << GetParam()->features;
  }

  // Buffers of exactly the size, so that a sanitizer sees every access outside.
  std::vector<float> run(const LrnShape& shape, const std::vector<float>& x) {
    std::unique_ptr<float[]> input(new float[x.size()]), output(new float[x.size()]);
    std::copy(x.begin(), x.end(), input.get());
    std::fill_n(output.get(), x.size(), kNan);
    GetParam()->lrn(shape, static_cast<int64_t>(x.size()) / shape.channels, input.get(),
                    output.get());
    EXPECT_EQ(std::memcmp(input.get(), x.data(), x.size() * sizeof(float)), 0);
    return std::vector<float>(output.get(), output.get() + x.size());
  }

  void expect_close(const LrnShape& shape, const std::vector<float>& x, double tolerance) {
    const std::vector<float> y = run(shape, x);
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t c = i % static_cast<size_t>(shape.channels);
      const double wanted = naive(shape, x.data() + (i - c), static_cast<int64_t>(c));
      const double error = std::abs(y[i] - wanted);
      worst = std::max(worst, error > 0 ? error / std::abs(wanted) : error);
      ASSERT_FALSE(std::isnan(y[i])) << i;
    }
    EXPECT_LE(worst, tolerance) << "channels " << shape.channels << ", radius " << shape.radius
                                << ", beta " << shape.beta;
  }
};

TEST_P(Lrn, AnyNumberOfChannelsAndAnyRadius) {
  for (int64_t channels : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 20, 31, 32, 33, 48, 63, 96, 100}) {
    for (int64_t radius : {0, 1, 2, 3, 5, 8, 10, 11, 17, 32, 33, 50, 99, 100, 2000000000}) {
      expect_close({channels, radius, 1.0f, 2e-2f, 0.75f},
                   normal(static_cast<size_t>(channels) * 3, 5.0f), kRootError);
    }
  }
}

TEST_P(Lrn, ManyChannels) {
  for (int64_t radius : {2, 10, 11, 40, 400, 700}) {
    expect_close({1283, radius, 1.0f, 1e-3f, 0.75f}, normal(1283 * 2, 5.0f), kRootError);
  }
}

TEST_P(Lrn, AnyBeta) {
  for (float beta : {0.0f, 0.1f, 0.25f, 0.5f, 0.6f, 0.75f, 1.0f, 1.5f, 2.0f, 5.0f, -0.75f, -2.0f}) {
    const bool root = beta == 0.5f || beta == 0.75f || beta == 1.0f;
    for (float scale : {1e-3f, 1.0f, 100.0f}) {
      for (float bias : {1.0f, 2.0f, 1e-3f, 1e3f}) {
        expect_close({96, 2, bias, 0.5f, beta}, normal(96 * 5, scale),
                     root ? kRootError : kPowerError);
      }
    }
  }
}

TEST_P(Lrn, SumsFromTheSmallestToTheLargest) {
  for (float beta : {0.5f, 0.75f, 1.0f, 0.6f}) {
    for (int exponent = -123; exponent <= 123; exponent += 3) {
      const float bias = std::ldexp(1.37f, exponent);
      // alpha 0 keeps the sum what it is; nothing is subnormal, which armv7 would take for 0.
      const LrnShape shape = {20, 1, bias, 0.0f, beta};
      std::vector<float> x(20, std::ldexp(1.0f, exponent > 0 ? 60 : -60));
      expect_close(shape, x, beta == 0.6f ? kPowerError : kRootError);
    }
  }
}

TEST_P(Lrn, NoBias) {
  // Zeros among zeros: 0 * 0^-0.75 is NaN, in TensorFlow Lite too; all others are numbers.
  std::vector<float> x(40, 0.0f);
  x[20] = 3.0f;
  const std::vector<float> y = run({40, 2, 0.0f, 1.0f, 0.75f}, x);
  EXPECT_NEAR(y[20], 3.0 * std::pow(9.0, -0.75), 1e-5);
  for (int c : {18, 19, 21, 22}) EXPECT_EQ(y[static_cast<size_t>(c)], 0.0f);
  for (int c : {0, 17, 23, 39}) EXPECT_TRUE(std::isnan(y[static_cast<size_t>(c)]));
}

TEST_P(Lrn, NanAndInfinitySpreadNoFurtherThanTheRadius) {
  for (float value : {kNan, kInfinity, -kInfinity}) {
    for (int64_t radius : {0, 2, 5, 40}) {
      for (float beta : {0.75f, 0.6f}) {
        const LrnShape shape = {200, radius, 1.0f, 0.1f, beta};
        std::vector<float> x = normal(600, 1.0f);
        const std::vector<float> clean = run(shape, x);
        x[200 + 101] = value;
        const std::vector<float> y = run(shape, x);
        for (int64_t i = 0; i < 600; ++i) {
          const size_t at = static_cast<size_t>(i);
          if (i == 301) {
            EXPECT_TRUE(std::isnan(y[at]));
          } else if (i >= 301 - radius && i <= 301 + radius) {
            EXPECT_TRUE(std::isnan(value) ? std::isnan(y[at]) : y[at] == 0.0f) << i;
          } else {
            EXPECT_EQ(y[at], clean[at]) << i << " radius " << radius;
          }
        }
      }
    }
  }
}

TEST_P(Lrn, SquaresBeyondFloat) {
  std::vector<float> x(32, 1.0f);
  x[9] = 1e25f;
  const std::vector<float> y = run({32, 2, 1.0f, 1.0f, 0.75f}, x);
  for (float value : y) EXPECT_TRUE(value >= 0 && value <= 1);
  EXPECT_LT(y[9], 1e-6f);
  EXPECT_LT(y[8], 1e-6f);
  EXPECT_GT(y[13], 0.1f);
}

// Found by fuzzing: the reference kernel, in double, made nearly 1 of the power.
TEST_P(Lrn, SumsThatAlphaTakesBeyondFloat) {
  const float alpha = std::numeric_limits<float>::max();
  for (float value : run({32, 2, 1.0f, alpha, 1e-30f}, std::vector<float>(32, 1.5f))) {
    EXPECT_EQ(value, 0.0f);
  }
}

TEST_P(Lrn, APixelDoesNotDependOnItsNeighbours) {
  const LrnShape shape = {21, 2, 1.0f, 0.1f, 0.75f};
  const std::vector<float> x = normal(21 * 6, 1.0f);
  const std::vector<float> all = run(shape, x);
  for (int p = 0; p < 6; ++p) {
    const std::vector<float> one = run(shape, {x.begin() + 21 * p, x.begin() + 21 * (p + 1)});
    EXPECT_TRUE(std::equal(one.begin(), one.end(), all.begin() + 21 * p));
  }
}

TEST_P(Lrn, LargestOfPixels) {
  for (int64_t channels : {1, 3, 4, 7, 8, 9, 16, 17, 100}) {
    std::vector<std::vector<float>> x;
    std::vector<const float*> pixels;
    for (unsigned i = 0; i < 9; ++i) x.push_back(normal(static_cast<size_t>(channels), 1, i));
    for (const auto& pixel : x) pixels.push_back(pixel.data());
    x[0][0] = x[8].back() = kNan;
    x[4][static_cast<size_t>(channels / 2)] = kInfinity;
    for (size_t count : {1, 2, 9}) {
      std::vector<float> y(static_cast<size_t>(channels));
      GetParam()->max(channels, static_cast<int64_t>(count), pixels.data(), y.data());
      for (size_t c = 0; c < y.size(); ++c) {
        float wanted = -kInfinity;
        for (size_t i = 0; i < count; ++i) {
          if (x[i][c] > wanted || std::isnan(x[i][c])) wanted = x[i][c];
        }
        EXPECT_TRUE(y[c] == wanted || (std::isnan(y[c]) && std::isnan(wanted)))
            << channels << " channels, " << count << " pixels, channel " << c << ": " << y[c];
      }
    }
  }
}

// Against normalization and pooling one after the other, to the bit.
TEST_P(Lrn, WithPooling) {
  std::mt19937 random(20167);
  const auto pick = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random() % static_cast<unsigned>(high - low + 1));
  };
  for (int round = 0; round < 200; ++round) {
    const LrnShape lrn = {pick(1, 40), pick(0, 3), 1.0f, 0.1f, 0.75f};
    PoolShape p;
    p.batch = pick(1, 3);
    p.in_h = pick(1, 12);
    p.in_w = pick(1, 12);
    p.size_h = pick(1, 4);
    p.size_w = pick(1, 4);
    p.stride_h = pick(1, 5);
    p.stride_w = pick(1, 5);
    p.zeros = round % 2 == 0;
    // Without zeros every window begins and ends in the image.
    p.pad_top = pick(0, p.zeros ? 6 : p.size_h - 1);
    p.pad_left = pick(0, p.zeros ? 6 : p.size_w - 1);
    const int64_t more = p.zeros ? 6 : 0;
    p.out_h = (p.in_h - 1 + p.pad_top + more) / p.stride_h + 1;
    p.out_w = (p.in_w - 1 + p.pad_left + more) / p.stride_w + 1;
    const int64_t C = lrn.channels;
    const std::vector<float> x =
        normal(static_cast<size_t>(p.batch * p.in_h * p.in_w * C), 3, 1 + random() % 99);
    const std::vector<float> between = run(lrn, x);
    std::vector<float> wanted;
    for (int64_t n = 0; n < p.batch; ++n)
      for (int64_t y = 0; y < p.out_h; ++y)
        for (int64_t l = 0; l < p.out_w; ++l)
          for (int64_t c = 0; c < C; ++c) {
            float most = -kInfinity;
            for (int64_t i = 0; i < p.size_h * p.size_w; ++i) {
              const int64_t at_y = y * p.stride_h - p.pad_top + i / p.size_w;
              const int64_t at_x = l * p.stride_w - p.pad_left + i % p.size_w;
              const bool inside = at_y >= 0 && at_y < p.in_h && at_x >= 0 && at_x < p.in_w;
              if (!inside && !p.zeros) continue;
              const size_t at = static_cast<size_t>(((n * p.in_h + at_y) * p.in_w + at_x) * C + c);
              most = std::max(most, inside ? between[at] : 0.0f);
            }
            wanted.push_back(most);
          }
    for (int threads : {1, 3}) {
      LrnPool both;
      both.plan(GetParam(), lrn, p, threads);
      std::vector<float> output(wanted.size(), kNan);
      AlignedArray<unsigned char> scratch(static_cast<int64_t>(both.memory().scratch));
      std::fill_n(scratch.data(), scratch.size(), static_cast<unsigned char>(0xff));
      both.run(ThreadPool::get(threads).get(), x.data(), output.data(), scratch.data());
      ASSERT_EQ(output, wanted) << "round " << round << ", " << threads << " threads";
    }
  }
}

TEST_P(Lrn, NoPixels) { GetParam()->lrn({3, 2, 1.0f, 1.0f, 0.75f}, 0, nullptr, nullptr); }

std::string name_of(const testing::TestParamInfo<const Kernel*>& info) {
  std::string name = info.param->name;
  std::replace_if(name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Kernels, Lrn, testing::ValuesIn(kernels()), name_of);

}  // namespace
}  // namespace qcnn
