// The largest input patches of an image, compiled once for each instruction set: the compiler turns
// the loops over a row into vectors. Needs conv_ops.h.
#ifndef QCNN_CORE_CONV_PATCHES_INL_H_
#define QCNN_CORE_CONV_PATCHES_INL_H_

#include "core/conv_ops.h"

namespace qcnn {
namespace {

// Sums over some rows of the kernel, and room for the padding: padded[x + k * dilation_w] is what
// output x meets in kernel column k, where strides are 1.
inline void sum_rows(const ConvPatches& p, const float* pixels, int64_t y,
                     float* __restrict padded) {
  const ConvShape& s = *p.shape;
  const int64_t first = y * s.stride_h - s.pad_top;
  float* __restrict to = padded + s.pad_left;
  bool any = false;
  for (int64_t i = 0; i < p.kernel_rows; ++i) {
    const int64_t from = first + p.kernel_row[i] * s.dilation_h;
    if (from < 0 || from >= s.in_h) continue;
    const float* __restrict a = pixels + from * s.in_w;
    // Two rows at a time.
    const int64_t next = i + 1 < p.kernel_rows ? first + p.kernel_row[i + 1] * s.dilation_h : -1;
    const bool two = next >= 0 && next < s.in_h;
    const float* __restrict b = pixels + (two ? next : from) * s.in_w;
    if (two) ++i;
    if (two && any) {
      for (int64_t x = 0; x < s.in_w; ++x) to[x] += a[x] + b[x];
    } else if (two) {
      for (int64_t x = 0; x < s.in_w; ++x) to[x] = a[x] + b[x];
    } else if (any) {
      for (int64_t x = 0; x < s.in_w; ++x) to[x] += a[x];
    } else {
      for (int64_t x = 0; x < s.in_w; ++x) to[x] = a[x];
    }
    any = true;
  }
  if (!any) {
    for (int64_t x = 0; x < s.in_w; ++x) to[x] = 0;
  }
}

// Of each output column; so that the loop has no result of its own and runs over vectors.
struct LargestPatches {
  float* __restrict squares;
  float* __restrict flat;
  float* __restrict sum;
  float* __restrict bad;
};

// total[x] = what output x meets in all columns of the kernel. row: as sum_rows() leaves it;
// phases: [stride_w][ceil(padded width / stride_w)], scratch for its columns by x mod stride_w, so
// that those of neighbouring outputs are neighbours.
inline void sum_columns(const ConvPatches& p, const float* __restrict row, float* __restrict phases,
                        float* __restrict total) {
  const ConvShape& s = *p.shape;
  const int64_t padded = conv_padded_width(s);
  const int64_t phase_width = (padded + s.stride_w - 1) / s.stride_w;
  const bool split = conv_patches_split(s);
  if (split) {
    for (int64_t phase = 0; phase < s.stride_w && phase < padded; ++phase) {
      float* __restrict to = phases + phase * phase_width;
      for (int64_t x = phase; x < padded; x += s.stride_w) *to++ = row[x];
    }
  }
  for (int64_t x = 0; x < s.out_w; ++x) total[x] = 0;
  for (int64_t k = 0; k < s.kernel_w; ++k) {
    const int64_t first = k * s.dilation_w;
    if (s.stride_w > 1 && !split) {
      for (int64_t x = 0; x < s.out_w; ++x) total[x] += row[first + x * s.stride_w];
      continue;
    }
    const float* __restrict from =
        split ? phases + first % s.stride_w * phase_width + first / s.stride_w : row + first;
    for (int64_t x = 0; x < s.out_w; ++x) total[x] += from[x];
  }
}

// kWidth: neighbours that belong to an output's patch, at strides of 1.
template <int kWidth>
inline void compare_row(const ConvPatches& p, const float* __restrict squares,
                        const float* __restrict sums, const LargestPatches& most) {
  const ConvShape& s = *p.shape;
  const float share = p.share;
  const int64_t step = s.dilation_w;
  float* __restrict most_squares = most.squares;
  float* __restrict most_flat = most.flat;
  float* __restrict most_sum = most.sum;
  float* __restrict bad = most.bad;
  for (int64_t x = 0; x < s.out_w; ++x) {
    float square = 0, sum = 0;
    for (int64_t k = 0; k < kWidth; ++k) {
      square += squares[x + k * step];
      sum += sums[x + k * step];
    }
    const float flat = square - sum * (sum * share);
    const float size = sum < 0 ? -sum : sum;
    most_squares[x] = most_squares[x] < square ? square : most_squares[x];
    most_flat[x] = most_flat[x] < flat ? flat : most_flat[x];
    most_sum[x] = most_sum[x] < size ? size : most_sum[x];
    bad[x] += (square - square) + (size - size);  // 0, or NaN for ever
  }
}

void patches(const ConvPatches& p, float* scratch, float* largest) {
  const ConvShape& s = *p.shape;
  const int64_t padded = conv_padded_width(s);
  float *squares = scratch, *sums = squares + padded;
  LargestPatches most;
  most.squares = sums + padded;
  most.flat = most.squares + s.out_w;
  most.sum = most.flat + s.out_w;
  most.bad = most.sum + s.out_w;
  float *total_squares = most.bad + s.out_w, *total_sums = total_squares + s.out_w;
  float* phases = total_sums + s.out_w;
  for (int64_t x = 0; x < 2 * padded + 4 * s.out_w; ++x) scratch[x] = 0;
  for (int64_t y = 0; y < s.out_h; ++y) {
    sum_rows(p, p.squares, y, squares);
    sum_rows(p, p.sums, y, sums);
    switch (s.stride_w == 1 ? s.kernel_w : 0) {
      case 3:
        compare_row<3>(p, squares, sums, most);
        break;
      case 5:
        compare_row<5>(p, squares, sums, most);
        break;
      default:
        sum_columns(p, squares, phases, total_squares);
        sum_columns(p, sums, phases, total_sums);
        compare_row<1>(p, total_squares, total_sums, most);
    }
  }
  for (int i = 0; i < 4; ++i) largest[i] = 0;
  for (int64_t x = 0; x < s.out_w; ++x) {
    largest[0] = largest[0] < most.squares[x] ? most.squares[x] : largest[0];
    largest[1] = largest[1] < most.flat[x] ? most.flat[x] : largest[1];
    largest[2] = largest[2] < most.sum[x] ? most.sum[x] : largest[2];
    largest[3] += most.bad[x];
  }
}

}  // namespace
}  // namespace qcnn

#endif  // QCNN_CORE_CONV_PATCHES_INL_H_
