#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "qcnn/qcnn_ops.h"

namespace {

std::vector<char> read_file(const std::string& name) {
  std::ifstream file(std::string(QCNN_TEST_DIR "/golden/") + name, std::ios::binary);
  return std::vector<char>(std::istreambuf_iterator<char>(file), {});
}

TEST(Metadata, IsFound) {
  const auto model = read_file("small.tflite");
  ASSERT_FALSE(model.empty());
  const char* json = nullptr;
  size_t size = 0;
  ASSERT_EQ(qcnn_read_metadata(model.data(), model.size(), &json, &size), QCNN_OK);
  EXPECT_GE(json, model.data());
  EXPECT_LE(json + size, model.data() + model.size());
  const std::string text(json, size);
  EXPECT_EQ(text.front(), '{');
  EXPECT_EQ(text.back(), '}');
  EXPECT_NE(text.find("\"format\":1"), std::string::npos);
  EXPECT_NE(text.find("\"model\":\"golden\""), std::string::npos);
}

TEST(Metadata, AnotherFileIsRefused) {
  const char* json = nullptr;
  size_t size = 0;
  const std::string jpeg("\xff\xd8\xff\xe0 no model at all");
  EXPECT_EQ(qcnn_read_metadata(jpeg.data(), jpeg.size(), &json, &size), QCNN_DAMAGED);
  EXPECT_EQ(qcnn_read_metadata(nullptr, 100, &json, &size), QCNN_INVALID_ARGUMENT);
  EXPECT_EQ(qcnn_read_metadata(jpeg.data(), 0, &json, &size), QCNN_DAMAGED);
}

TEST(Metadata, DamageNeverLeadsOutside) {
  const auto model = read_file("small.tflite");
  ASSERT_FALSE(model.empty());
  std::mt19937 random(11);
  for (int round = 0; round < 20000; ++round) {
    std::vector<char> damaged(model.begin(),
                              round % 2 ? model.end() : model.begin() + random() % model.size());
    for (unsigned n = random() % 8; n > 0 && !damaged.empty(); --n) {
      // Offsets are small numbers, most of them near the start of the file.
      damaged[random() % std::min<size_t>(damaged.size(), 400)] = static_cast<char>(random());
    }
    const char* json = nullptr;
    size_t size = 0;
    if (qcnn_read_metadata(damaged.data(), damaged.size(), &json, &size) == QCNN_OK) {
      ASSERT_GE(json, damaged.data());
      ASSERT_LE(json + size, damaged.data() + damaged.size());
      volatile char last = json[size - 1];
      (void)last;
    }
  }
}

}  // namespace
