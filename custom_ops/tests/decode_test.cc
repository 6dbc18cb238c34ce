#include "core/decode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace qcnn {
namespace {

// Bit by bit, straight from the contract.
std::vector<uint8_t> pack(const std::vector<uint8_t>& codes, int bits) {
  std::vector<uint8_t> packed((codes.size() * bits + 7) / 8, 0);
  for (size_t i = 0; i < codes.size(); ++i) {
    for (int b = 0; b < bits; ++b) {
      const size_t at = i * bits + b;
      if (codes[i] >> b & 1) packed[at / 8] |= static_cast<uint8_t>(1u << (at % 8));
    }
  }
  return packed;
}

TEST(Decode, EveryWidthRoundTrips) {
  std::mt19937 random(1);
  for (int bits = 1; bits <= 8; ++bits) {
    for (int count : {1, 2, 3, 7, 8, 9, 31, 200}) {
      std::vector<uint8_t> codes(count), unpacked(count);
      for (auto& code : codes) code = static_cast<uint8_t>(random() % (1u << bits));
      const auto packed = pack(codes, bits);
      ASSERT_TRUE(unpack_row(packed.data(), count, bits, 1 << bits, unpacked.data()));
      EXPECT_EQ(codes, unpacked) << bits << " bits, " << count << " codes";
    }
  }
}

TEST(Decode, RefusesCodesBehindTheCodebook) {
  const auto packed = pack({0, 4, 5}, 3);
  uint8_t codes[3];
  EXPECT_TRUE(unpack_row(packed.data(), 3, 3, 6, codes));
  EXPECT_FALSE(unpack_row(packed.data(), 3, 3, 5, codes));
}

TEST(Decode, RefusesTailBits) {
  auto packed = pack({1, 2, 3}, 3);  // 9 bits in 2 bytes
  uint8_t codes[3];
  for (int bit = 1; bit < 8; ++bit) {
    auto damaged = packed;
    damaged[1] |= static_cast<uint8_t>(1u << bit);
    EXPECT_FALSE(unpack_row(damaged.data(), 3, 3, 8, codes)) << bit;
  }
}

TEST(Decode, CodeBits) {
  EXPECT_EQ(code_bits(1), 1);
  EXPECT_EQ(code_bits(2), 1);
  EXPECT_EQ(code_bits(3), 2);
  EXPECT_EQ(code_bits(128), 7);
  EXPECT_EQ(code_bits(129), 8);
  EXPECT_EQ(code_bits(256), 8);
}

TEST(Decode, HalfPrecisionIsExact) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    const int exponent = static_cast<int>(half >> 10 & 0x1f);
    const double mantissa = half & 0x3ff;
    const double sign = half & 0x8000 ? -1.0 : 1.0;
    const float value = half_to_float(static_cast<uint16_t>(half));
    if (exponent == 0x1f) {
      EXPECT_TRUE(mantissa == 0 ? std::isinf(value) && (value < 0) == (sign < 0)
                                : std::isnan(value));
    } else {
      const double expected =
          exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
      ASSERT_EQ(static_cast<double>(value), sign * expected) << half;
    }
  }
}

}  // namespace
}  // namespace qcnn
