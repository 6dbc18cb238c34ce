#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
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

TEST(MeanImage, IsNotInEveryModel) {
  const auto model = read_file("small.tflite");
  ASSERT_FALSE(model.empty());
  const void* values = &model;
  size_t size = 1;
  EXPECT_EQ(qcnn_read_mean_image(model.data(), model.size(), &values, &size), QCNN_NOT_FOUND);
  EXPECT_EQ(values, nullptr);
  EXPECT_EQ(size, 0u);
  EXPECT_EQ(qcnn_read_mean_image(model.data(), model.size(), nullptr, &size),
            QCNN_INVALID_ARGUMENT);
}

TEST(ModelCheck, CountsOurOps) {
  const auto model = read_file("small.tflite");
  ASSERT_FALSE(model.empty());
  QcnnModelInfo info;
  ASSERT_EQ(qcnn_check_model(model.data(), model.size(), &info), QCNN_OK);
  EXPECT_GT(info.qconv + info.qfc, 0u);
  EXPECT_EQ(info.foreign_op, nullptr);
  EXPECT_EQ(qcnn_check_model(model.data(), model.size(), nullptr), QCNN_INVALID_ARGUMENT);
}

TEST(ModelCheck, NamesAForeignOp) {
  auto model = read_file("small.tflite");
  ASSERT_FALSE(model.empty());
  const std::string ours("QConv");
  const auto at = std::search(model.begin(), model.end(), ours.begin(), ours.end());
  ASSERT_NE(at, model.end());
  *at = 'X';
  QcnnModelInfo info;
  ASSERT_EQ(qcnn_check_model(model.data(), model.size(), &info), QCNN_OK);
  EXPECT_EQ(std::string(info.foreign_op, info.foreign_op_size), "XConv");
}

TEST(ModelCheck, CutOffFilesAreRefused) {
  const auto model = read_file("small.tflite");
  ASSERT_FALSE(model.empty());
  QcnnModelInfo info;
  // Up to 15 bytes at the end may be padding.
  for (size_t size = 0; size + 16 < model.size(); size += 7) {
    const std::vector<char> cut(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(size));
    ASSERT_EQ(qcnn_check_model(size == 0 ? model.data() : cut.data(), size, &info), QCNN_DAMAGED)
        << size << " of " << model.size() << " bytes";
  }
}

TEST(ModelCheck, DamageNeverLeadsOutside) {
  const auto model = read_file("small.tflite");
  ASSERT_FALSE(model.empty());
  std::mt19937 random(12);
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<char> damaged = model;
    for (unsigned n = 1 + random() % 8; n > 0; --n) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    QcnnModelInfo info;
    const QcnnStatus status = qcnn_check_model(damaged.data(), damaged.size(), &info);
    refused += status == QCNN_DAMAGED;
    if (info.foreign_op != nullptr) {
      ASSERT_GE(info.foreign_op, damaged.data());
      ASSERT_LE(info.foreign_op + info.foreign_op_size, damaged.data() + damaged.size());
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
