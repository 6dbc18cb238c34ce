#include "tflite/options.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <vector>

#include "tflite/flexbuffers_map.h"

namespace qcnn {
namespace {

struct Golden {
  std::string op;
  std::vector<uint8_t> bytes;
  std::map<std::string, int64_t> values;
};

// golden/options.txt: lines of "op hex key=value key=value ...", written by the Python half.
std::vector<Golden> read_golden() {
  std::ifstream file(QCNN_TEST_DIR "/golden/options.txt");
  std::vector<Golden> all;
  std::string line;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    Golden golden;
    std::string hex, pair;
    words >> golden.op >> hex;
    for (size_t i = 0; i + 1 < hex.size(); i += 2) {
      golden.bytes.push_back(static_cast<uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    }
    while (words >> pair) {
      const size_t equals = pair.find('=');
      golden.values[pair.substr(0, equals)] = std::stoll(pair.substr(equals + 1));
    }
    all.push_back(golden);
  }
  return all;
}

TEST(Options, GoldenBytesOfThePythonHalf) {
  const auto all = read_golden();
  ASSERT_GE(all.size(), 4u);
  for (const Golden& golden : all) {
    IntegerMap map;
    std::string error;
    ASSERT_TRUE(read_integer_map(golden.bytes.data(), golden.bytes.size(), &map, &error)) << error;
    EXPECT_EQ((std::map<std::string, int64_t>(map.begin(), map.end())), golden.values);
    Options options;
    const OpKind kind = golden.op == "QConv" ? OpKind::kConv : OpKind::kFc;
    ASSERT_TRUE(read_options(kind, golden.bytes.data(), golden.bytes.size(), &options, &error))
        << error;
    EXPECT_EQ(options.out_channels, golden.values.at("out_channels"));
    EXPECT_EQ(options.bits, golden.values.at("bits"));
    if (kind == OpKind::kConv) {
      EXPECT_EQ(options.stride_w, golden.values.at("stride_w"));
      EXPECT_EQ(options.pad_right, golden.values.at("pad_right"));
      EXPECT_EQ(static_cast<int64_t>(options.padding), golden.values.at("padding"));
    } else {
      EXPECT_EQ(options.keep_num_dims, golden.values.at("keep_num_dims"));
    }
  }
}

TEST(Options, TheOtherOpsOptionsAreRefused) {
  for (const Golden& golden : read_golden()) {
    Options options;
    std::string error;
    const OpKind other = golden.op == "QConv" ? OpKind::kFc : OpKind::kConv;
    EXPECT_FALSE(read_options(other, golden.bytes.data(), golden.bytes.size(), &options, &error));
    EXPECT_FALSE(error.empty());
  }
}

TEST(Options, TruncatedAtEveryLengthIsRefused) {
  for (const Golden& golden : read_golden()) {
    for (size_t size = 0; size < golden.bytes.size(); ++size) {
      // A heap copy of exactly this size: a sanitizer sees any read behind it.
      const std::vector<uint8_t> part(golden.bytes.begin(), golden.bytes.begin() + size);
      Options options;
      std::string error;
      EXPECT_FALSE(read_options(golden.op == "QConv" ? OpKind::kConv : OpKind::kFc, part.data(),
                                part.size(), &options, &error));
      EXPECT_FALSE(error.empty());
    }
  }
}

// Any damage either leaves options that keep the contract or is refused; it never reads outside.
TEST(Options, DamagedBytesNeverBreakTheContract) {
  std::mt19937 random(7);
  int refused = 0;
  for (const Golden& golden : read_golden()) {
    for (int round = 0; round < 20000; ++round) {
      std::vector<uint8_t> damaged = golden.bytes;
      for (unsigned n = 1 + random() % 4; n > 0; --n) {
        damaged[random() % damaged.size()] = static_cast<uint8_t>(random());
      }
      Options o;
      std::string error;
      const OpKind kind = golden.op == "QConv" ? OpKind::kConv : OpKind::kFc;
      if (!read_options(kind, damaged.data(), damaged.size(), &o, &error)) {
        ++refused;
        EXPECT_FALSE(error.empty());
        continue;
      }
      EXPECT_TRUE(o.bits >= 1 && o.bits <= 8 && o.activation >= 0 && o.activation <= 3);
      EXPECT_TRUE(o.in_channels >= 1 && o.out_channels >= 1 && o.groups >= 1);
      EXPECT_EQ(o.in_channels % o.groups, 0);
      EXPECT_TRUE(o.kernel_h >= 1 && o.stride_h >= 1 && o.dilation_w >= 1 && o.pad_left >= 0);
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace qcnn
