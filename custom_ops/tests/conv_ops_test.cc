// The primitives of each instruction set against their definition: lookups with packed codes (every
// size of a kernel, every number of rows, on both sides of what makes a loop of its own), tables of
// quantized inputs (every number of values, odd and even, every number of rows), and moments.
#include "core/conv_ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/aligned.h"
#include "core/cpu.h"

namespace qcnn {
namespace {

struct Set {
  const char* name;
  const ConvOps* ops;
};

// float16: also those whose table entries are float16, where most of these tests' are int16.
std::vector<Set> sets(bool float16 = false) {
  std::vector<Set> found;
  const auto add = [&](const char* name, const ConvOps* ops, bool runs) {
    if (ops != nullptr && runs) found.push_back({name, ops});
  };
  add("avx2", conv_ops_avx2(), cpu_has_avx2());
  add("avx512", conv_ops_avx512(), cpu_has_avx512());
  add("avx512_vnni", conv_ops_avx512_vnni(), cpu_has_avx512_vnni());
  add("neon", conv_ops_neon(), cpu_has_neon());
  if (float16) add("neon_dotprod", conv_ops_neon_dotprod(), cpu_has_neon_dotprod());
  return found;
}

class ConvAdd : public testing::TestWithParam<Set> {
 protected:
  // One call of `add`, with tables, codes and a tile of its own. sums: those of a chunk's end.
  void check(ConvLookup l, bool sums);

  int random(int below) { return static_cast<int>(random_() % static_cast<uint32_t>(below)); }

  std::mt19937 random_{1};
};

void ConvAdd::check(ConvLookup l, bool sums) {
  const ConvOps& ops = *GetParam().ops;
  const int64_t plane = l.plane_stride = l.K * kLanes;
  const int64_t table_rows = l.rows + (l.ny - 1) * l.row_step;
  AlignedArray<int16_t> table(table_rows * l.planes * plane);
  const uint64_t seed = random_();
  for (int64_t i = 0; i < table.size(); ++i) {
    table[i] = static_cast<int16_t>((seed + static_cast<uint64_t>(i)) * 2654435761u >> 8);
  }
  std::vector<const int16_t*> rows;
  for (int64_t r = 0; r < table_rows; ++r) rows.push_back(table.data() + r * l.planes * plane);
  l.table = rows.data();

  const int64_t taps = static_cast<int64_t>(l.planes) * l.ny * l.nx;
  std::vector<uint8_t> codes(static_cast<size_t>(l.outputs * taps));
  for (uint8_t& code : codes) {
    code = static_cast<uint8_t>(random(4) == 0 ? l.K - 1 : random(static_cast<int>(l.K)));
  }
  const int64_t stride = ops.pack(l, nullptr, nullptr);
  AlignedArray<uint16_t> packed(l.outputs * stride);
  for (int64_t c = 0; c < l.outputs; ++c) {
    ASSERT_EQ(ops.pack(l, codes.data() + c * taps, packed.data() + c * stride), stride);
  }
  l.codes = packed.data();

  l.tile_stride = kMaxWindow * kLanes;
  AlignedArray<int16_t> tile(l.outputs * l.tile_stride);
  AlignedArray<float> totals(tile.size()), factor(l.rows * kLanes);
  for (int64_t i = 0; i < tile.size(); ++i) {
    tile[i] = static_cast<int16_t>(random_());
    totals[i] = l.first ? NAN : static_cast<float>(random(1000));
  }
  for (int64_t i = 0; i < factor.size(); ++i) factor[i] = static_cast<float>(random(100)) / 64;
  l.tile = tile.data();
  l.sums = sums ? totals.data() : nullptr;
  l.factor = factor.data();
  const std::vector<int16_t> old_tile(tile.data(), tile.data() + tile.size());
  const std::vector<float> old_totals(totals.data(), totals.data() + totals.size());
  ops.add(l);

  // Further lanes are of no importance.
  const int64_t lanes = kLanes - l.first_lane - (l.nx - 1) * l.lane_step;
  for (int64_t c = 0; c < l.outputs; ++c) {
    for (int64_t v = 0; v < kMaxWindow; ++v) {
      for (int64_t lane = 0; lane < lanes; ++lane) {
        const int64_t at = c * l.tile_stride + v * kLanes + lane;
        const int16_t old = old_tile[static_cast<size_t>(at)];
        if (v >= l.rows) {
          ASSERT_EQ(tile[at], old);
          continue;
        }
        int64_t sum = l.fresh ? 0 : old;
        for (int64_t i = 0; i < taps; ++i) {
          const int64_t x = i % l.nx, y = i / l.nx % l.ny, p = i / l.nx / l.ny;
          sum += rows[static_cast<size_t>(v + y * l.row_step)]
                     [p * plane + codes[static_cast<size_t>(c * taps + i)] * kLanes + lane +
                      l.first_lane + x * l.lane_step];
        }
        const int16_t wrapped = static_cast<int16_t>(static_cast<uint64_t>(sum));
        if (sums) {
          const float before = l.first ? 0.0f : old_totals[static_cast<size_t>(at)];
          const float total = before + static_cast<float>(wrapped) * factor[v * kLanes + lane];
          ASSERT_NEAR(totals[at], total, 1e-6f * (1000 + std::abs(total)));
        } else {
          ASSERT_EQ(tile[at], wrapped);
        }
      }
    }
  }
}

TEST_P(ConvAdd, IsTheSumOfItsEntries) {
  for (const int64_t K : {3, 128, 129, 256}) {
    for (int shape = 0; shape < 2 * 6 * 6 * 2; ++shape) {
      ConvLookup l = {};
      l.K = K;
      l.planes = 1 + shape % 2;
      l.ny = 1 + shape / 2 % 6;
      l.nx = 1 + shape / 12 % 6;
      l.row_step = 1 + shape / 72;
      const int most = K > kNarrowK ? kMaxWideWindow : kMaxWindow;
      for (l.rows = 1; l.rows <= std::min(GetParam().ops->window(l.nx), most); ++l.rows) {
        for (int mode = 0; mode < 6; ++mode) {
          l.lane_step = random(3) == 0 ? 2 : 1;
          l.first_lane = random(3) == 0 ? random(16 - (l.nx - 1) * l.lane_step + 1) : 0;
          l.outputs = 1 + random(3);
          l.fresh = mode % 2 == 0;
          l.first = mode / 2 == 2;
          check(l, mode / 2 > 0);
          ASSERT_FALSE(HasFatalFailure())
              << "K " << K << ", planes " << l.planes << ", " << l.ny << "x" << l.nx
              << ", row step " << l.row_step << ", rows " << l.rows << ", mode " << mode;
        }
      }
    }
  }
}

class ConvMoments : public testing::TestWithParam<Set> {};

TEST_P(ConvMoments, AreThoseOfEachPixelAndSeeEveryNegativeValue) {
  const ConvOps& ops = *GetParam().ops;
  std::mt19937 random(1);
  const auto below = [&](int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint32_t>(n));
  };
  for (int64_t width = 1; width <= 35; ++width) {
    for (const int64_t pixels : {1, 2, 3, 4, 7, 16, 17, 35}) {
      for (const int64_t stride : {width, width + 5}) {
        // As long as what may be read, and negative where nothing may be.
        std::vector<float> input(static_cast<size_t>((pixels - 1) * stride + width), -1.0f);
        const auto value = [&](int64_t p, int64_t j) -> float& {
          return input[static_cast<size_t>(p * stride + j)];
        };
        for (int64_t p = 0; p < pixels; ++p) {
          for (int64_t j = 0; j < width; ++j) value(p, j) = static_cast<float>(below(100)) / 8;
        }
        value(below(pixels), below(width)) = -0.0f;
        std::vector<float> squares(static_cast<size_t>(pixels)), sums(squares);
        const auto positive = [&] {
          return ops.moments(input.data(), pixels, stride, width, squares.data(), sums.data());
        };
        EXPECT_TRUE(positive()) << width << " of " << stride << ", " << pixels << " pixels";
        for (int64_t p = 0; p < pixels; ++p) {
          double square = 0, sum = 0;
          for (int64_t j = 0; j < width; ++j) {
            square += static_cast<double>(value(p, j)) * static_cast<double>(value(p, j));
            sum += static_cast<double>(value(p, j));
          }
          ASSERT_NEAR(squares[static_cast<size_t>(p)], square, 1e-6 * square);
          ASSERT_NEAR(sums[static_cast<size_t>(p)], sum, 1e-6 * sum);
        }
        for (int64_t i = 0; i < pixels * width; ++i) {
          const float old = value(i / width, i % width);
          value(i / width, i % width) = -1e-30f;
          const int64_t other = below(pixels * width);
          const float nan = other == i ? -1.0f : NAN, kept = value(other / width, other % width);
          EXPECT_FALSE(positive()) << "pixel " << i / width << ", channel " << i % width;
          value(other / width, other % width) = nan;
          EXPECT_FALSE(positive()) << "pixel " << i / width << ", channel " << i % width
                                   << ", with a NaN in " << other / width << ", " << other % width;
          value(other / width, other % width) = kept;
          value(i / width, i % width) = old;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, ConvMoments, testing::ValuesIn(sets(true)),
                         [](const auto& info) { return std::string(info.param.name); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ConvMoments);

class ConvBuild : public testing::TestWithParam<Set> {};

// Inputs are thirds, scales powers of two: no product lies between two integers, where instruction
// sets round differently.
TEST_P(ConvBuild, IsTheDotProductOfWordsAndQuantizedInputs) {
  const ConvOps& ops = *GetParam().ops;
  std::mt19937 random(1);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<uint32_t>(n)); };
  const int64_t first = 3;
  for (int64_t width = 1; width <= 21; ++width) {
    const int64_t pairs = (width + 1) / 2, stride = pairs * 2 * kLanes, K = 1 + below(40);
    for (int64_t rows = 1; rows <= 5; ++rows) {
      std::vector<std::vector<float>> inputs;  // each as long as what may be read of it
      std::vector<float> scale(static_cast<size_t>(kLanes));
      AlignedArray<int16_t> x(rows * stride);
      for (int64_t row = 0; row < rows; ++row) {
        const float* pixels[kLanes];
        for (int64_t lane = 0; lane < kLanes; ++lane) {
          std::vector<float> input(static_cast<size_t>(first + width));
          for (float& value : input) value = static_cast<float>(below(24001) - 12000) / 3;
          inputs.push_back(std::move(input));
          scale[static_cast<size_t>(lane)] = static_cast<float>(1 << (lane + row) % 4);
        }
        for (size_t lane = 0; lane < kLanes; ++lane) {
          pixels[lane] = inputs[inputs.size() - kLanes + lane].data();
        }
        ops.quantize(pixels, first, scale.data(), width, x.data() + row * stride);
      }
      AlignedArray<int16_t> words(K * pairs * 2), table(rows * K * kLanes);
      for (int64_t i = 0; i < words.size(); ++i) words[i] = static_cast<int16_t>(random());
      std::vector<int16_t*> to;
      for (int64_t row = 0; row < rows; ++row) to.push_back(table.data() + row * K * kLanes);
      ops.build(words.data(), K, pairs, x.data(), stride, rows, to.data());

      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t k = 0; k < K; ++k) {
          for (int64_t lane = 0; lane < kLanes; ++lane) {
            const auto& input = inputs[static_cast<size_t>(row * kLanes + lane)];
            int64_t sum = 0x8000;
            for (int64_t j = 0; j < width; ++j) {
              const float value = input[static_cast<size_t>(first + j)];
              sum += std::lrint(value * static_cast<float>(1 << (lane + row) % 4)) *
                     words[k * pairs * 2 + j];
            }
            ASSERT_EQ(to[static_cast<size_t>(row)][k * kLanes + lane],
                      static_cast<int16_t>(static_cast<uint64_t>(sum) >> 16))
                << "width " << width << ", row " << row << " of " << rows << ", codeword " << k
                << " of " << K << ", lane " << lane;
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, ConvBuild, testing::ValuesIn(sets()),
                         [](const auto& info) { return std::string(info.param.name); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ConvBuild);

INSTANTIATE_TEST_SUITE_P(Sets, ConvAdd, testing::ValuesIn(sets()),
                         [](const auto& info) { return std::string(info.param.name); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ConvAdd);

}  // namespace
}  // namespace qcnn
