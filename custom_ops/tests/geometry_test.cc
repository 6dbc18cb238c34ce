// How an output is cut into strips and columns.
#include <gtest/gtest.h>

#include <vector>

#include "core/conv_geometry.h"
#include "core/conv_ops.h"

namespace qcnn {
namespace {

int64_t lookups(const std::vector<Column>& columns) {
  int64_t rows = 0;
  for (const Column& column : columns) rows += column.rows;
  return rows;
}

void expect_whole(int64_t h, int64_t w, int64_t span, int64_t wanted, int64_t unit) {
  const auto columns = cover(h, w, span, 2, 20, wanted, {100, 130}, unit);
  std::vector<int> covered(static_cast<size_t>(h * w));
  for (const Column& column : columns) {
    EXPECT_LE(column.rows, 20);
    int64_t free = 0;
    for (const Strip& strip : column.strips) {
      EXPECT_EQ(strip.lane % unit + strip.y % unit + strip.x % unit, 0);
      EXPECT_GE(strip.lane, free);
      free = strip.lane + strip.width + span;
      EXPECT_LE(free, kLanes);
      EXPECT_LE(strip.rows, column.rows);
      for (int64_t y = strip.y; y < strip.y + strip.rows; ++y) {
        for (int64_t x = strip.x; x < strip.x + strip.width; ++x) {
          ASSERT_TRUE(y < h && x < w);
          ++covered[static_cast<size_t>(y * w + x)];
        }
      }
    }
  }
  for (int count : covered) ASSERT_EQ(count, 1) << h << "x" << w << " span " << span;
}

TEST(Cover, EveryOutputOnceAndNoLaneTwice) {
  for (int64_t h : {1, 7, 18, 55}) {
    for (int64_t w : {1, 13, 18, 35, 61, 224}) {
      for (int64_t span : {0, 2, 4, 16}) {
        for (int64_t wanted : {1, 3}) {
          for (int64_t unit : {1, 2}) expect_whole(h, w, span, wanted, unit);
        }
      }
    }
  }
}

// Three runs of 18x6 in two columns: 18 and 10 beside each other, then 8 and 18.
TEST(Cover, StripsOfDifferentWidthShareAColumn) {
  EXPECT_EQ(lookups(cover(18, 18, 2, 2, 18, 1, {100, 130})), 12);
  // 224 = 7 * 30 + 14, and two strips of 14 fill a column.
  EXPECT_EQ(lookups(cover(224, 224, 2, 2, 56, 1, {100, 130})), 15 * 112);
}

}  // namespace
}  // namespace qcnn
