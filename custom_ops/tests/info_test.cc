#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "qcnn/qcnn_ops.h"
#include "tflite/memory.h"

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

TEST(Info, LayersOfAnInterpreterShareScratch) {
  const size_t before = total_memory().scratch;
  TfLiteContext context = {}, other = {};
  auto first = Scratch::of(&context), second = Scratch::of(&context);
  EXPECT_EQ(first, second);
  EXPECT_EQ(first->data(), nullptr);
  first->reserve(100);
  second->reserve(40);
  EXPECT_EQ(total_memory().scratch, before + 100);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(second->data()) % kCacheLine, 0u);
  second->reserve(200);
  EXPECT_EQ(total_memory().scratch, before + 200);
  EXPECT_THROW(second->reserve(SIZE_MAX), std::bad_alloc);
  const auto apart = Scratch::of(&other);
  EXPECT_NE(apart, first);
  apart->reserve(10);
  first.reset();
  EXPECT_EQ(total_memory().scratch, before + 210);
  second.reset();
  EXPECT_EQ(total_memory().scratch, before + 10);
  EXPECT_EQ(Scratch::of(&context)->data(), nullptr);  // a new one
}

}  // namespace
}  // namespace qcnn
