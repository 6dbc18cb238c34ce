#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "core/aligned.h"
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
  auto first = Scratch::of(&context, 100), second = Scratch::of(&context, 40);
  EXPECT_EQ(first, second);
  EXPECT_EQ(total_memory().scratch, before + 100);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(second->lend(40)) % kCacheLine, 0u);
  second = Scratch::of(&context, 200);
  EXPECT_EQ(total_memory().scratch, before + 200);
  // A layer that gets no memory takes none from the others.
  const unsigned char* memory = first->lend(200);
  EXPECT_THROW(Scratch::of(&context, SIZE_MAX), std::bad_alloc);
  EXPECT_THROW(Scratch::of(&context, kMostBytes + 1), std::bad_alloc);
  EXPECT_EQ(first->lend(200), memory);
  const auto apart = Scratch::of(&other, 10);
  EXPECT_NE(apart, first);
  first.reset();
  EXPECT_EQ(total_memory().scratch, before + 210);
  second.reset();
  EXPECT_EQ(total_memory().scratch, before + 10);
  Scratch::of(&context, 20);  // a new one
  EXPECT_EQ(total_memory().scratch, before + 10);
}

}  // namespace
}  // namespace qcnn
