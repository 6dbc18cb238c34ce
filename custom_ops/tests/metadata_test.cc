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

// A file of 600 kB: 2^17 subgraphs that are one and the same, which has 2^14 tensors that are one
// and the same. Looked at one by one they would take an hour.
TEST(ModelCheck, TablesThatRepeatEndlesslyAreRefused) {
  std::vector<uint8_t> file;
  const auto put = [&](uint32_t value) {
    for (int i = 0; i < 4; ++i) file.push_back(static_cast<uint8_t>(value >> (8 * i)));
  };
  const auto point = [&](size_t from, size_t to) {
    for (size_t i = 0; i < 4; ++i) {
      file[from + i] = static_cast<uint8_t>((to - from) >> (8 * i));
    }
  };
  constexpr size_t kGraphs = 1 << 17, kTensors = 1 << 14;
  put(0);
  file.insert(file.end(), {'T', 'F', 'L', '3'});
  // Virtual tables of the model (version 4, codes none, subgraphs 8, description none, buffers 12),
  // the subgraph (tensors 4) and of what has no fields.
  const size_t model_fields = file.size();
  file.insert(file.end(), {14, 0, 16, 0, 4, 0, 0, 0, 8, 0, 0, 0, 12, 0, 0, 0});
  const size_t graph_fields = file.size();
  file.insert(file.end(), {6, 0, 8, 0, 4, 0, 0, 0});
  const size_t no_fields = file.size();
  file.insert(file.end(), {4, 0, 4, 0});
  const size_t model = file.size();
  put(static_cast<uint32_t>(model - model_fields));
  put(3), put(0), put(0);
  point(0, model);
  const size_t graphs = file.size();
  put(kGraphs);
  file.resize(file.size() + 4 * kGraphs);
  const size_t buffers = file.size();
  put(1), put(0);
  const size_t graph = file.size();
  put(static_cast<uint32_t>(graph - graph_fields)), put(0);
  const size_t empty = file.size();
  put(static_cast<uint32_t>(empty - no_fields));
  point(model + 8, graphs), point(model + 12, buffers), point(buffers + 4, empty);
  for (size_t i = 0; i < kGraphs; ++i) point(graphs + 4 + 4 * i, graph);
  const size_t later = file.size();
  put(kTensors);
  file.resize(file.size() + 4 * kTensors);
  const size_t last = file.size();
  put(static_cast<uint32_t>(last - no_fields));
  for (size_t i = 0; i < kTensors; ++i) point(later + 4 + 4 * i, last);
  point(graph + 4, later);
  QcnnModelInfo info;
  EXPECT_EQ(qcnn_check_model(file.data(), file.size(), &info), QCNN_DAMAGED);
  // One subgraph is fine.
  file[graphs] = 1, file[graphs + 1] = file[graphs + 2] = 0;
  EXPECT_EQ(qcnn_check_model(file.data(), file.size(), &info), QCNN_OK);
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
