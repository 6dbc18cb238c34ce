// The primitives of each instruction set's fully-connected layer against their definition: packed
// codes, tables, lookups, and products of words.
#include "core/fc_ops.h"

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
  const FcOps* ops;
};

std::vector<Set> sets() {
  std::vector<Set> found;
  const auto add = [&](const char* name, const FcOps* ops, bool runs) {
    if (ops != nullptr && runs) found.push_back({name, ops});
  };
  add("avx2", fc_ops_avx2(), cpu_has_avx2());
  add("avx512", fc_ops_avx512(), cpu_has_avx512());
  add("avx512_vnni", fc_ops_avx512_vnni(), cpu_has_avx512_vnni());
  add("neon", fc_ops_neon(), cpu_has_neon());
  return found;
}

class FcOpsTest : public testing::TestWithParam<Set> {
 protected:
  const FcOps& ops() const { return *GetParam().ops; }
  int below(int64_t n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }
  int16_t word() { return static_cast<int16_t>(random_()); }

  AlignedArray<int16_t> words(int64_t count) {
    AlignedArray<int16_t> made(count);
    for (int64_t i = 0; i < count; ++i) made[i] = word();
    return made;
  }

  void check_lookups(int64_t K, int64_t units, int64_t pairs, bool shared);

  std::mt19937 random_{1};
};

void FcOpsTest::check_lookups(int64_t K, int64_t units, int64_t pairs, bool shared) {
  const int64_t unit = ops().unit(K), subspaces = units * unit, entries = fc_entries(K);
  const int64_t bytes = ops().unit_bytes(K);
  ASSERT_EQ(bytes % 64, 0);

  std::vector<uint8_t> codes(static_cast<size_t>(subspaces * kFcBlock));
  for (uint8_t& code : codes) {
    code = static_cast<uint8_t>(below(4) == 0 ? K - 1 : below(K));
  }
  AlignedArray<unsigned char> packed(units * bytes);
  std::vector<uint8_t> again(static_cast<size_t>(unit * kFcBlock));
  for (int64_t u = 0; u < units; ++u) {
    const uint8_t* from = codes.data() + u * unit * kFcBlock;
    ops().pack(K, from, packed.data() + u * bytes);
    ops().unpack(K, packed.data() + u * bytes, again.data());
    ASSERT_TRUE(std::equal(again.begin(), again.end(), from));
  }

  const int64_t book = pairs * entries * 2;
  const AlignedArray<int16_t> book_words = words(shared ? book : subspaces * book);
  const AlignedArray<int16_t> x = words(subspaces * pairs * 2);
  AlignedArray<unsigned char> table(subspaces * entries * 2);
  FcBuild build;
  build.words = book_words.data();
  build.words_stride = shared ? 0 : book;
  build.entries = entries;
  build.pairs = pairs;
  build.x = x.data();
  build.subspaces = subspaces;
  build.table = table.data();
  ops().build(build);

  std::vector<int64_t> expected(kFcBlock);
  for (int64_t m = 0; m < subspaces; ++m) {
    std::vector<int16_t> entry(static_cast<size_t>(K));
    for (int64_t k = 0; k < K; ++k) {
      int64_t sum = 0x8000;
      for (int64_t j = 0; j < pairs * 2; ++j) {
        sum += book_words[m * build.words_stride + (j / 2 * entries + k) * 2 + j % 2] *
               x[m * pairs * 2 + j];
      }
      entry[static_cast<size_t>(k)] = static_cast<int16_t>(static_cast<uint64_t>(sum) >> 16);
    }
    for (int64_t c = 0; c < kFcBlock; ++c) {
      expected[static_cast<size_t>(c)] += entry[codes[static_cast<size_t>(m * kFcBlock + c)]];
    }
  }
  AlignedArray<float> sums(kFcBlock);
  for (const bool first : {true, false}) {
    for (int64_t c = 0; c < kFcBlock; ++c) sums[c] = first ? NAN : static_cast<float>(c);
    ops().add(K, packed.data(), units, table.data(), 0.5f, first, sums.data());
    for (int64_t c = 0; c < kFcBlock; ++c) {
      const auto wrapped =
          static_cast<int16_t>(static_cast<uint64_t>(expected[static_cast<size_t>(c)]));
      ASSERT_EQ(sums[c], 0.5f * wrapped + static_cast<float>(first ? 0 : c)) << "output " << c;
    }
  }
}

TEST_P(FcOpsTest, LookupsAreTheSumOfTheirEntries) {
  for (const int64_t K : {1, 3, 16, 17, 31, 32, 33, 64, 65, 128, 129, 255, 256}) {
    for (const int64_t units : {1, 2, 3, 8, 37}) {
      for (const int64_t pairs : {1, 2, 3, 5}) {
        check_lookups(K, units, pairs, below(2) == 0);
        ASSERT_FALSE(HasFatalFailure()) << "K " << K << ", units " << units << ", pairs " << pairs;
      }
    }
  }
}

TEST_P(FcOpsTest, ProductsAreTheSumOfWordsTimesInputs) {
  if (ops().multiply == nullptr) GTEST_SKIP() << "lookups are faster here for every K";
  for (const int64_t units : {1, 2, 3, 64, 65, 130, 300}) {
    const AlignedArray<int16_t> factors = words(units * kFcBlock * 2);
    const AlignedArray<int16_t> x = words(units * 2);
    AlignedArray<float> sums(kFcBlock);
    for (const bool first : {true, false}) {
      for (int64_t c = 0; c < kFcBlock; ++c) sums[c] = first ? NAN : static_cast<float>(c);
      ops().multiply(factors.data(), units, x.data(), 0.5f, first, sums.data());
      for (int64_t c = 0; c < kFcBlock; ++c) {
        int64_t sum = 0;
        for (int64_t u = 0; u < units; ++u) {
          for (int64_t j = 0; j < 2; ++j) {
            sum += factors[(u * kFcBlock + c) * 2 + j] * x[u * 2 + j];
          }
        }
        const auto wrapped = static_cast<int32_t>(static_cast<uint64_t>(sum));
        const float expected =
            0.5f * static_cast<float>(wrapped) + static_cast<float>(first ? 0 : c);
        ASSERT_NEAR(sums[c], expected, 1e-6f * (256 + std::abs(expected)))
            << units << " units, output " << c;
      }
    }
  }
}

TEST_P(FcOpsTest, EnergyIsTheSumOfSquares) {
  for (int64_t count = 0; count <= 70; ++count) {
    // As long as what may be read.
    std::vector<float> x(static_cast<size_t>(count));
    double expected = 0;
    for (float& value : x) {
      value = static_cast<float>(below(2001) - 1000) / 64;
      expected += static_cast<double>(value) * value;
    }
    EXPECT_NEAR(ops().energy(x.data(), count), expected, 1e-6 * expected) << count;
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, FcOpsTest, testing::ValuesIn(sets()),
                         [](const auto& info) { return std::string(info.param.name); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(FcOpsTest);

}  // namespace
}  // namespace qcnn
