// How a convolution is cut up for the fast kernels: the kernel into grids of taps, the output into
// columns of rows of 32 lanes.
#ifndef QCNN_CORE_CONV_GEOMETRY_H_
#define QCNN_CORE_CONV_GEOMETRY_H_

#include <cstdint>
#include <vector>

#include "core/layer.h"

namespace qcnn {

// Taps of a kernel whose inputs, for all outputs, lie in one phase of the image: a strided
// convolution is a sum of convolutions of stride 1, one for each phase.
//
// Tap (i, j) of the grid is kernel row first_ky + i * ky_step, column first_kx + j * kx_step;
// output (y, x) reads phase row y + first_row + i * row_step, phase column x + first_lane + j *
// lane_step; phase (r, c) is input (r * stride_h + phase_h - pad_top, c * stride_w + phase_w -
// pad_left).
struct TapGrid {
  int ny = 0, nx = 0;
  int64_t first_ky = 0, ky_step = 1, first_kx = 0, kx_step = 1;
  int64_t first_row = 0, row_step = 1, first_lane = 0, lane_step = 1;
  int64_t phase_h = 0, phase_w = 0;

  int64_t row_span() const { return (ny - 1) * row_step; }
  int64_t lane_span() const { return (nx - 1) * lane_step; }
};

// All grids of a kernel; together they hold every tap once.
std::vector<TapGrid> tap_grids(const ConvShape& shape);

// A run of output rows that fills `width` lanes of every row of its column.
struct Strip {
  int64_t lane = 0;      // of its first output
  int64_t y = 0, x = 0;  // of its first output
  int64_t width = 0;     // outputs in x
  int64_t rows = 0;      // outputs in y; at most the column's rows
};

// Strips side by side.
struct Column {
  int64_t rows = 0;
  std::vector<Strip> strips;
};

// What the rows of a column cost, in any unit of time.
struct ColumnCost {
  double output_row = 1;  // lookups of one row
  double table_row = 1;   // building one table row

  double operator()(int64_t rows, int64_t row_span) const {
    return static_cast<double>(rows) * output_row +
           static_cast<double>(rows + row_span) * table_row;
  }
};

// Columns that cover an output of out_h x out_w.
//
// lane_span, row_span: the largest of the grids.
// max_rows: of a column.
// columns_wanted: a column is split until there are as many, where its rows allow it.
// unit: lane, x and y of every strip are multiples of it; 1, or 2, which lane_span and max_rows
// then are multiples of too.
std::vector<Column> cover(int64_t out_h, int64_t out_w, int64_t lane_span, int64_t row_span,
                          int64_t max_rows, int64_t columns_wanted, const ColumnCost& cost,
                          int64_t unit = 1);

}  // namespace qcnn

#endif  // QCNN_CORE_CONV_GEOMETRY_H_
