#include "core/conv_geometry.h"

#include <algorithm>
#include <cassert>
#include <numeric>

#include "core/conv_ops.h"

namespace qcnn {
namespace {

// Wider grids are taken apart: their halo would leave too few lanes for outputs, or make a table of
// too many rows. Building the table once for each tap is then cheaper.
constexpr int64_t kMaxLaneSpan = 16;
constexpr int64_t kMaxRowSpan = 12;

// Taps along one axis that share a phase.
struct AxisTaps {
  int n = 0;
  int64_t first_k = 0, k_step = 1;          // kernel positions
  int64_t first_shift = 0, shift_step = 1;  // positions of the phase
  int64_t phase = 0;
};

std::vector<AxisTaps> axis_taps(int64_t kernel, int64_t stride, int64_t dilation,
                                int64_t max_span) {
  const int64_t common = std::gcd(stride, dilation);
  const int64_t period = stride / common;  // kernel positions from a phase to the same phase
  const int64_t shift_step = dilation / common;
  std::vector<AxisTaps> all;
  for (int64_t k = 0; k < std::min(kernel, period); ++k) {
    const int64_t count = (kernel - k + period - 1) / period;
    const int64_t at_once = std::min(count, max_span / shift_step + 1);
    for (int64_t i = 0; i < count; i += at_once) {
      AxisTaps taps;
      taps.n = static_cast<int>(std::min(at_once, count - i));
      taps.first_k = k + i * period;
      taps.k_step = period;
      taps.first_shift = taps.first_k * dilation / stride;
      taps.shift_step = shift_step;
      taps.phase = taps.first_k * dilation % stride;
      all.push_back(taps);
    }
  }
  return all;
}

// How an output is cut into strips: equal ones, or (width 0) each as wide as the rest of its run
// and the rest of its column allow.
struct Cut {
  int64_t rows = 0, width = 0;
};

int64_t round_up(int64_t size, int64_t unit) { return (size + unit - 1) / unit * unit; }

// Puts strips into columns, one after the other, and returns how many columns there are.
int64_t pack(const Cut& cut, int64_t out_h, int64_t out_w, int64_t lane_span, int64_t unit,
             std::vector<Column>* columns) {
  int64_t count = 0, lane = kLanes;
  for (int64_t y = 0; y < out_h; y += cut.rows) {
    for (int64_t x = 0; x < out_w;) {
      if (lane + std::max<int64_t>(cut.width, unit) + lane_span > kLanes) {
        ++count;
        lane = 0;
        if (columns != nullptr) columns->emplace_back();
      }
      Strip strip;
      strip.lane = lane;
      strip.y = y;
      strip.x = x;
      const int64_t width = cut.width > 0 ? cut.width : kLanes - lane_span - lane;
      strip.width = std::min(width, out_w - x);
      strip.rows = std::min(cut.rows, out_h - y);
      lane += (cut.width > 0 ? cut.width : round_up(strip.width, unit)) + lane_span;
      x += strip.width;
      if (columns != nullptr) {
        columns->back().rows = std::max(columns->back().rows, strip.rows);
        columns->back().strips.push_back(strip);
      }
    }
  }
  return count;
}

}  // namespace

std::vector<TapGrid> tap_grids(const ConvShape& s) {
  std::vector<TapGrid> grids;
  for (const AxisTaps& y : axis_taps(s.kernel_h, s.stride_h, s.dilation_h, kMaxRowSpan)) {
    for (const AxisTaps& x : axis_taps(s.kernel_w, s.stride_w, s.dilation_w, kMaxLaneSpan)) {
      TapGrid grid;
      grid.ny = y.n;
      grid.nx = x.n;
      grid.first_ky = y.first_k;
      grid.ky_step = y.k_step;
      grid.first_kx = x.first_k;
      grid.kx_step = x.k_step;
      grid.first_row = y.first_shift;
      grid.row_step = y.shift_step;
      grid.first_lane = x.first_shift;
      grid.lane_step = x.shift_step;
      grid.phase_h = y.phase;
      grid.phase_w = x.phase;
      grids.push_back(grid);
    }
  }
  return grids;
}

std::vector<Column> cover(int64_t out_h, int64_t out_w, int64_t lane_span, int64_t row_span,
                          int64_t max_rows, int64_t columns_wanted, const ColumnCost& cost,
                          int64_t unit) {
  assert(out_h > 0 && out_w > 0 && lane_span < kLanes && max_rows > 0);
  assert(lane_span % unit == 0 && max_rows % unit == 0);
  // The rows are cut into equal runs, each run into strips; what costs least wins.
  Cut best;
  double least = 0;
  int64_t rows = 0;
  const auto consider = [&](const Cut& cut, int64_t columns) {
    // Columns go to threads; the fullest thread decides.
    const int64_t each = (columns + columns_wanted - 1) / columns_wanted;
    const double total = static_cast<double>(each) * cost(cut.rows, row_span);
    if (best.rows == 0 || total < least) {
      least = total;
      best = cut;
    }
  };
  for (int64_t runs = (out_h + max_rows - 1) / max_rows; runs <= out_h; ++runs) {
    const int64_t each = round_up((out_h + runs - 1) / runs, unit);
    if (each == rows) continue;
    rows = each;
    const int64_t most =
        std::min(out_w, (out_w + kLanes - lane_span - 1) / (kLanes - lane_span) + 8);
    for (int64_t segments = 1; segments <= most; ++segments) {
      const int64_t width = round_up((out_w + segments - 1) / segments, unit);
      if (width + lane_span > kLanes) continue;
      const int64_t beside = kLanes / (width + lane_span);
      const int64_t strips = (out_w + width - 1) / width * ((out_h + rows - 1) / rows);
      consider({rows, width}, (strips + beside - 1) / beside);
    }
    consider({rows, 0}, pack({rows, 0}, out_h, out_w, lane_span, unit, nullptr));
  }
  std::vector<Column> columns;
  pack(best, out_h, out_w, lane_span, unit, &columns);
  return columns;
}

}  // namespace qcnn
