#include "core/aligned.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <new>

namespace qcnn {
namespace {

TEST(Aligned, ArraysBeginOnCacheLinesAndLargeOnesOnHugePages) {
  constexpr int64_t kHuge = static_cast<int64_t>(kHugePage);
  AlignedArray<unsigned char> array;
  for (int64_t size : {int64_t{1}, int64_t{100}, kHuge - 1, kHuge, 3 * kHuge + 5}) {
    array.resize(size);
    const uintptr_t alignment = size < kHuge ? kCacheLine : kLargeAlignment;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(array.data()) % alignment, 0u) << size;
    EXPECT_EQ(array.bytes(), static_cast<size_t>(size));
    for (int64_t i = 0; i < size; ++i) array[i] = static_cast<unsigned char>(i % 251);
    EXPECT_EQ(array[size - 1], (size - 1) % 251);
  }
  EXPECT_THROW(AlignedArray<float>(static_cast<int64_t>(kMostBytes / 4) + 1), std::bad_alloc);
  array.resize(0);
  EXPECT_EQ(array.data(), nullptr);
}

TEST(Aligned, PiecesBeginOnCacheLinesAndAreNeverTooLarge) {
  alignas(kCacheLine) unsigned char memory[256];
  AlignedPieces counted(nullptr), pieces(memory);
  for (AlignedPieces* of : {&counted, &pieces}) {
    unsigned char* first = of->take<unsigned char>(5);
    float* second = of->take<float>(17);
    EXPECT_EQ(first, of == &pieces ? memory : nullptr);
    EXPECT_EQ(second, of == &pieces ? reinterpret_cast<float*>(memory + 64) : nullptr);
    EXPECT_EQ(of->bytes(), 192u);
  }
  EXPECT_THROW(counted.take<float>(int64_t{1} << 62), std::bad_alloc);
  EXPECT_EQ(counted.bytes(), 192u);
  // Where addresses have 32 bits, a second piece must not begin again at 0.
  AlignedPieces large(nullptr);
  large.take<unsigned char>(static_cast<int64_t>(kMostBytes / 2));
  large.take<unsigned char>(static_cast<int64_t>(kMostBytes / 2) - 256);
  EXPECT_THROW(large.take<unsigned char>(static_cast<int64_t>(kMostBytes / 4)), std::bad_alloc);
  EXPECT_GE(large.bytes(), kMostBytes - 512);
}

}  // namespace
}  // namespace qcnn
