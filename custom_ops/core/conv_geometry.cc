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
                          int64_t max_rows, int64_t columns_wanted, const ColumnCost& cost) {
  assert(out_h > 0 && out_w > 0 && lane_span < kLanes && max_rows > 0);
  // Each row of outputs is cut into equal segments, the rows into equal runs; what costs least
  // wins.
  double best = 0;
  int64_t best_segments = 0, best_runs = 0;
  const int64_t most = std::min(out_w, (out_w + kLanes - lane_span - 1) / (kLanes - lane_span) + 8);
  for (int64_t segments = 1; segments <= most; ++segments) {
    const int64_t width = (out_w + segments - 1) / segments;
    if (width + lane_span > kLanes) continue;
    const int64_t beside = kLanes / (width + lane_span);
    const int64_t needed = (out_w + width - 1) / width;
    // A run count beyond these fills the lanes no better.
    const int64_t least = (out_h + max_rows - 1) / max_rows;
    for (int64_t runs = least; runs <= out_h; ++runs) {
      const int64_t rows = (out_h + runs - 1) / runs;
      const int64_t strips = needed * ((out_h + rows - 1) / rows);
      const int64_t columns = (strips + beside - 1) / beside;
      // Columns go to threads; the fullest thread decides.
      const int64_t each = (columns + columns_wanted - 1) / columns_wanted;
      const double total = static_cast<double>(each) * cost(rows, row_span);
      if (best_segments == 0 || total < best) {
        best = total;
        best_segments = needed;
        best_runs = runs;
      }
    }
  }
  assert(best_segments > 0);
  const int64_t width = (out_w + best_segments - 1) / best_segments;
  const int64_t rows = (out_h + best_runs - 1) / best_runs;
  const int64_t beside = kLanes / (width + lane_span);
  std::vector<Column> columns;
  for (int64_t y = 0; y < out_h; y += rows) {
    for (int64_t x = 0; x < out_w; x += width) {
      if (columns.empty() || static_cast<int64_t>(columns.back().strips.size()) == beside) {
        Column column;
        column.pitch = width + lane_span;
        column.rows = rows;
        columns.push_back(column);
      }
      Strip strip;
      strip.y = y;
      strip.x = x;
      strip.width = std::min(width, out_w - x);
      strip.rows = std::min(rows, out_h - y);
      columns.back().strips.push_back(strip);
    }
  }
  // The last strips may all be short.
  for (Column& column : columns) {
    column.rows = 0;
    for (const Strip& strip : column.strips) column.rows = std::max(column.rows, strip.rows);
  }
  return columns;
}

}  // namespace qcnn
