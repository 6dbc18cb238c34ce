#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "qcnn/qcnn_ops.h"
#include "tflite/ops.h"

namespace qcnn {
namespace {

TEST(Info, KernelsAreListedFastestFirst) {
  const char *name = nullptr, *features = nullptr;
  int available = -1;
  std::string first_available;
  size_t count = 0;
  while (qcnn_kernels(count, &name, &features, &available) == QCNN_OK) {
    EXPECT_STRNE(name, "");
    EXPECT_STRNE(features, "");
    ASSERT_TRUE(available == 0 || available == 1);
    if (available == 1 && first_available.empty()) first_available = name;
    ++count;
  }
  EXPECT_GE(count, 1u);
  EXPECT_STREQ(name, "reference");
  EXPECT_EQ(available, 1);
  EXPECT_EQ(first_available, qcnn_selected_kernel());
}

TEST(Info, KernelsOfNoIndexOrNoResult) {
  const char *name = "untouched", *features = nullptr;
  int available = 0;
  EXPECT_EQ(qcnn_kernels(1000, &name, &features, &available), QCNN_NOT_FOUND);
  EXPECT_STREQ(name, "untouched");
  EXPECT_EQ(qcnn_kernels(0, nullptr, &features, &available), QCNN_INVALID_ARGUMENT);
  EXPECT_EQ(qcnn_kernels(0, &name, nullptr, &available), QCNN_INVALID_ARGUMENT);
  EXPECT_EQ(qcnn_kernels(0, &name, &features, nullptr), QCNN_INVALID_ARGUMENT);
}

TEST(Info, MemoryIsThatOfTheLayersAlive) {
  size_t packed = 1, scratch = 1;
  qcnn_memory(&packed, &scratch);
  const size_t packed_before = packed, scratch_before = scratch;
  {
    MemoryShare first, second;
    first.set({100, 10});
    second.set({1000, 20});
    second.set({2000, 30});  // planned again
    MemoryShare moved = std::move(first);
    qcnn_memory(&packed, &scratch);
    EXPECT_EQ(packed, packed_before + 2100);
    EXPECT_EQ(scratch, scratch_before + 40);
  }
  qcnn_memory(&packed, nullptr);
  qcnn_memory(nullptr, &scratch);
  EXPECT_EQ(packed, packed_before);
  EXPECT_EQ(scratch, scratch_before);
}

}  // namespace
}  // namespace qcnn
