// Primitives of the fast convolution in NEON (aarch64 and armv7). Included by one file a variant,
// which defines, in an anonymous namespace:
//   Vec: eight 16-bit lanes of a table; zero(), load(), store(), plus(), rotate<n>(a, b): lanes n
//   to
//     n + 7 of a followed by b; widen(v, float32x4_t[2]);
//   kUnit: what 1 in a table stands for, in the units of ConvOps::build;
//   quantize() and build();
// and QCNN_PLUS, the instruction of plus().
#ifndef QCNN_CORE_QCONV_NEON_INL_H_
#define QCNN_CORE_QCONV_NEON_INL_H_

#include <arm_neon.h>

#include "core/conv_ops.h"
#include "core/conv_patches-inl.h"

// GCC for armv7 otherwise keeps arrays of registers in memory.
#if defined(__GNUC__) && !defined(__clang__)
#define QCNN_UNROLL _Pragma("GCC unroll 8")
#else
#define QCNN_UNROLL
#endif

namespace qcnn {
namespace {

// sum + a * b; armv7 may lack the fused instruction.
inline float32x4_t fma(float32x4_t sum, float32x4_t a, float32x4_t b) {
#if defined(__aarch64__)
  return vfmaq_f32(sum, a, b);
#else
  return vmlaq_f32(sum, a, b);
#endif
}

inline float across(float32x4_t a, float32x4_t b) {
  const float32x4_t four = vaddq_f32(a, b);
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

bool moments(const float* input, int64_t pixels, int64_t stride, int64_t width, float* squares,
             float* sums) {
  float32x4_t least = vdupq_n_f32(0);
  for (int64_t p = 0; p < pixels; ++p, input += stride) {
    float32x4_t square[2] = {vdupq_n_f32(0), vdupq_n_f32(0)};
    float32x4_t sum[2] = {vdupq_n_f32(0), vdupq_n_f32(0)};
    int64_t j = 0;
    for (; j + 8 <= width; j += 8) {
      const float32x4_t a = vld1q_f32(input + j), b = vld1q_f32(input + j + 4);
      square[0] = fma(square[0], a, a);
      square[1] = fma(square[1], b, b);
      sum[0] = vaddq_f32(sum[0], a);
      sum[1] = vaddq_f32(sum[1], b);
      least = vminq_f32(least, vminq_f32(a, b));
    }
    squares[p] = across(square[0], square[1]);
    sums[p] = across(sum[0], sum[1]);
    for (; j < width; ++j) {
      squares[p] += input[j] * input[j];
      sums[p] += input[j];
      least = vminq_f32(least, vdupq_n_f32(input[j]));
    }
  }
  const float32x2_t two = vpmin_f32(vget_low_f32(least), vget_high_f32(least));
  return vget_lane_f32(vpmin_f32(two, two), 0) >= 0;
}

// values[i] = pixel[i] * scale for 0 <= i < 8, 0 from `count` on.
inline void scaled(const float* pixel, int64_t count, float scale, float32x4_t* values) {
  float copy[8] = {};
  if (count < 8) {
    for (int64_t i = 0; i < count; ++i) copy[i] = pixel[i];
    pixel = copy;
  }
  values[0] = vmulq_n_f32(vld1q_f32(pixel), scale);
  values[1] = vmulq_n_f32(vld1q_f32(pixel + 4), scale);
}

// The codes of one kernel row, kX * 16 bits, in as few loads as it takes: what limits the loop is
// loads. Needs a little-endian machine, as all that we build for are.
template <int kX>
struct RowCodes {
  uint64_t low = 0;
  uint32_t high = 0;

  explicit RowCodes(const uint16_t* codes) {
    if (kX >= 4) {
      __builtin_memcpy(&low, codes, 8);
      if (kX == 5) high = codes[4];
      if (kX == 6) __builtin_memcpy(&high, codes + 4, 4);
    } else if (kX >= 2) {
      uint32_t two;
      __builtin_memcpy(&two, codes, 4);
      low = two;
      if (kX == 3) high = codes[2];
    } else {
      low = codes[0];
    }
  }

  size_t at(int i) const {
    const int in_low = kX >= 4 ? 4 : kX >= 2 ? 2 : 1;
    if (i < in_low) return static_cast<size_t>(low >> (16 * i) & 0xffff);
    return static_cast<size_t>(high >> (16 * (i - in_low)) & 0xffff);
  }
};

// total[lane] += sum[(lane + shift) mod 32].
inline void add_rotated(const Vec* sum, int shift, Vec* total) {
  alignas(16) int16_t twice[2 * kLanes];
  for (int r = 0; r < 4; ++r) {
    store(twice + 8 * r, sum[r]);
    store(twice + 8 * r + kLanes, sum[r]);
  }
  for (int r = 0; r < 4; ++r) total[r] = plus(total[r], load(twice + shift % kLanes + 8 * r));
}

// The same for a constant below 8.
template <int kShift>
inline void add_rotated(const Vec* sum, Vec* total) {
  for (int r = 0; r < 4; ++r) {
    total[r] = plus(total[r], rotate<kShift>(sum[r], sum[(r + 1) % 4]));
  }
}

// tile = sum of the kernel columns, each shifted by its lanes. The first column holds the tile's
// old contents already where it is not shifted. sum: [kX][4].
template <int kX>
inline void combine(const ConvLookup& l, const Vec (*sum)[4], int16_t* tile) {
  Vec total[4];
  if (l.first_lane == 0) {
    for (int r = 0; r < 4; ++r) total[r] = sum[0][r];
  } else {
    for (int r = 0; r < 4; ++r) total[r] = load(tile + 8 * r);
    add_rotated(sum[0], l.first_lane, total);
  }
  if (l.first_lane == 0 && l.lane_step == 1) {
    if (kX > 1) add_rotated<1>(sum[kX > 1 ? 1 : 0], total);
    if (kX > 2) add_rotated<2>(sum[kX > 2 ? 2 : 0], total);
    if (kX > 3) add_rotated<3>(sum[kX > 3 ? 3 : 0], total);
    if (kX > 4) add_rotated<4>(sum[kX > 4 ? 4 : 0], total);
    if (kX > 5) add_rotated<5>(sum[kX > 5 ? 5 : 0], total);
  } else {
    QCNN_UNROLL
    for (int i = 1; i < kX; ++i) add_rotated(sum[i], l.first_lane + i * l.lane_step, total);
  }
  for (int r = 0; r < 4; ++r) store(tile + 8 * r, total[r]);
}

// Table rows that the steps of a lookup read, a step being one kernel row of one plane:
// [steps][rows of the window].
constexpr int kMaxSteps = 64;

template <int kRows>
inline void list_rows(const ConvLookup& l, int first_row, int first_plane, int planes,
                      const int16_t** list) {
  for (int p = first_plane; p < first_plane + planes; ++p) {
    const int16_t* const* rows = l.table + first_row;
    for (int y = 0; y < l.ny; ++y, rows += l.row_step) {
      for (int v = 0; v < kRows; ++v) *list++ = rows[v] + p * l.plane_stride;
    }
  }
}

#if defined(__aarch64__) && defined(__GNUC__) && !defined(QCNN_NO_ASM)
// look_up() and combine() for three kernel columns beside each other and two rows: every 3x3
// convolution. Each addition is followed by the load five places ahead, across steps. Cycles of a
// step by llvm-mca 22 (benchmarks/arm_mca.py), of which loads alone take 28, 27, 14, 9 and 14:
//
//                     Cortex-A55   Cortex-A76   Neoverse N1   Neoverse N2   Apple M1
//   this                  34           27            21            13          14
//   clang 22 makes        91           31            30            18          12
//   GCC 12 makes          65           41            44            23          21
//
// LDUR rather than LDR: LLVM's model of Neoverse N1 takes LDR of a vector for two operations. No
// pairs of loads (LDP): slow on small cores.
#define QCNN_LOAD(q, at, offset) "ldur q" #q ", [%[" #at "], #" #offset "]\n"
#define QCNN_ADD(sum, q) QCNN_PLUS " v" #sum ".8h, v" #sum ".8h, v" #q ".8h\n"
#define QCNN_PAIR(sum, q, to, at, offset) QCNN_ADD(sum, q) QCNN_LOAD(to, at, offset)
#define QCNN_ZERO(sum) "movi v" #sum ".2d, #0\n"
// sum += lanes 1 to 8 of column one and 2 to 9 of column two.
#define QCNN_SHIFTED(sum, one, one_next, two, two_next) \
  "ext v24.16b, v" #one ".16b, v" #one_next             \
  ".16b, #2\n"                                          \
  "ext v25.16b, v" #two ".16b, v" #two_next ".16b, #4\n" QCNN_ADD(sum, 24) QCNN_ADD(sum, 25)

inline void look_up_3x2(const int16_t* const* rows, const uint16_t* codes, int64_t steps,
                        int16_t* tile) {
  const int16_t *p0, *p1, *a0, *a1, *a2, *b0, *b1, *b2;
  uint64_t c0, c1, c2;
  // clang-format off
  __asm__ volatile(
      "ldp q0, q1, [%[tile]]\n"
      "ldp q2, q3, [%[tile], #32]\n"
      "ldp q4, q5, [%[tile], #64]\n"
      "ldp q6, q7, [%[tile], #96]\n"
      QCNN_ZERO(8) QCNN_ZERO(9) QCNN_ZERO(10) QCNN_ZERO(11)
      QCNN_ZERO(12) QCNN_ZERO(13) QCNN_ZERO(14) QCNN_ZERO(15)
      QCNN_ZERO(16) QCNN_ZERO(17) QCNN_ZERO(18) QCNN_ZERO(19)
      QCNN_ZERO(20) QCNN_ZERO(21) QCNN_ZERO(22) QCNN_ZERO(23)
      "ldp %[p0], %[p1], [%[rows]], #16\n"
      "ldr %w[c0], [%[codes]], #4\n"
      "ldrh %w[c2], [%[codes]], #2\n"
      "lsr %w[c1], %w[c0], #16\n"
      "add %[a0], %[p0], %w[c0], uxth #3\n"
      "add %[b0], %[p1], %w[c0], uxth #3\n"
      QCNN_LOAD(24, a0, 0) QCNN_LOAD(25, a0, 16) QCNN_LOAD(26, a0, 32)
      QCNN_LOAD(27, a0, 48) QCNN_LOAD(28, b0, 0)
      "subs %[steps], %[steps], #1\n"
      "b.eq 2f\n"
      "1:\n"
      QCNN_PAIR(0, 24, 29, b0, 16)
      "add %[a1], %[p0], %[c1], lsl #3\n"
      "add %[b1], %[p1], %[c1], lsl #3\n"
      QCNN_PAIR(1, 25, 30, b0, 32)
      QCNN_PAIR(2, 26, 31, b0, 48)
      QCNN_PAIR(3, 27, 24, a1, 0)
      QCNN_PAIR(4, 28, 25, a1, 16)
      "add %[a2], %[p0], %[c2], lsl #3\n"
      "add %[b2], %[p1], %[c2], lsl #3\n"
      QCNN_PAIR(5, 29, 26, a1, 32)
      QCNN_PAIR(6, 30, 27, a1, 48)
      "ldp %[p0], %[p1], [%[rows]]\n"
      "add %[rows], %[rows], #16\n"
      QCNN_PAIR(7, 31, 28, b1, 0)
      QCNN_PAIR(8, 24, 29, b1, 16)
      "ldr %w[c0], [%[codes]]\n"
      "ldrh %w[c2], [%[codes], #4]\n"
      QCNN_PAIR(9, 25, 30, b1, 32)
      QCNN_PAIR(10, 26, 31, b1, 48)
      "add %[codes], %[codes], #6\n"
      "subs %[steps], %[steps], #1\n"
      QCNN_PAIR(11, 27, 24, a2, 0)
      QCNN_PAIR(12, 28, 25, a2, 16)
      "lsr %w[c1], %w[c0], #16\n"
      "add %[a0], %[p0], %w[c0], uxth #3\n"
      QCNN_PAIR(13, 29, 26, a2, 32)
      QCNN_PAIR(14, 30, 27, a2, 48)
      "add %[b0], %[p1], %w[c0], uxth #3\n"
      QCNN_PAIR(15, 31, 28, b2, 0)
      QCNN_PAIR(16, 24, 29, b2, 16)
      QCNN_PAIR(17, 25, 30, b2, 32)
      QCNN_PAIR(18, 26, 31, b2, 48)
      QCNN_PAIR(19, 27, 24, a0, 0)
      QCNN_PAIR(20, 28, 25, a0, 16)
      QCNN_PAIR(21, 29, 26, a0, 32)
      QCNN_PAIR(22, 30, 27, a0, 48)
      QCNN_PAIR(23, 31, 28, b0, 0)
      "b.ne 1b\n"
      "2:\n"
      QCNN_PAIR(0, 24, 29, b0, 16)
      "add %[a1], %[p0], %[c1], lsl #3\n"
      "add %[b1], %[p1], %[c1], lsl #3\n"
      QCNN_PAIR(1, 25, 30, b0, 32)
      QCNN_PAIR(2, 26, 31, b0, 48)
      QCNN_PAIR(3, 27, 24, a1, 0)
      QCNN_PAIR(4, 28, 25, a1, 16)
      "add %[a2], %[p0], %[c2], lsl #3\n"
      "add %[b2], %[p1], %[c2], lsl #3\n"
      QCNN_PAIR(5, 29, 26, a1, 32)
      QCNN_PAIR(6, 30, 27, a1, 48)
      QCNN_PAIR(7, 31, 28, b1, 0)
      QCNN_PAIR(8, 24, 29, b1, 16)
      QCNN_PAIR(9, 25, 30, b1, 32)
      QCNN_PAIR(10, 26, 31, b1, 48)
      QCNN_PAIR(11, 27, 24, a2, 0)
      QCNN_PAIR(12, 28, 25, a2, 16)
      QCNN_PAIR(13, 29, 26, a2, 32)
      QCNN_PAIR(14, 30, 27, a2, 48)
      QCNN_PAIR(15, 31, 28, b2, 0)
      QCNN_PAIR(16, 24, 29, b2, 16)
      QCNN_PAIR(17, 25, 30, b2, 32)
      QCNN_PAIR(18, 26, 31, b2, 48)
      QCNN_ADD(19, 27)
      QCNN_ADD(20, 28)
      QCNN_ADD(21, 29)
      QCNN_ADD(22, 30)
      QCNN_ADD(23, 31)
      QCNN_SHIFTED(0, 8, 9, 16, 17)
      QCNN_SHIFTED(1, 9, 10, 17, 18)
      QCNN_SHIFTED(2, 10, 11, 18, 19)
      QCNN_SHIFTED(3, 11, 8, 19, 16)
      QCNN_SHIFTED(4, 12, 13, 20, 21)
      QCNN_SHIFTED(5, 13, 14, 21, 22)
      QCNN_SHIFTED(6, 14, 15, 22, 23)
      QCNN_SHIFTED(7, 15, 12, 23, 20)
      "stp q0, q1, [%[tile], #0]\n"
      "stp q2, q3, [%[tile], #32]\n"
      "stp q4, q5, [%[tile], #64]\n"
      "stp q6, q7, [%[tile], #96]\n"
      : [rows] "+r"(rows), [codes] "+r"(codes), [steps] "+r"(steps), [p0] "=&r"(p0),
        [p1] "=&r"(p1), [a0] "=&r"(a0), [a1] "=&r"(a1), [a2] "=&r"(a2), [b0] "=&r"(b0),
        [b1] "=&r"(b1), [b2] "=&r"(b2), [c0] "=&r"(c0), [c1] "=&r"(c1), [c2] "=&r"(c2)
      : [tile] "r"(tile)
      : "cc", "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11",
        "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24",
        "v25", "v26", "v27", "v28", "v29", "v30", "v31");
  // clang-format on
}
#undef QCNN_LOAD
#undef QCNN_ADD
#undef QCNN_PAIR
#undef QCNN_ZERO
#undef QCNN_SHIFTED
#define QCNN_HAVE_3X2 1
#else
#define QCNN_HAVE_3X2 0
#endif

// The lookups of one output in kRows rows of the window; kRegs of a row's four registers, from
// `part` on. One accumulator for each kernel column, so that every load is aligned; the lanes are
// shifted once at the end.
template <int kX, int kRows, int kRegs>
inline void look_up(const int16_t* const* rows, const uint16_t* codes, int64_t steps, int part,
                    Vec (*all)[kX][4]) {
  Vec sum[kRows][kX][kRegs];
  QCNN_UNROLL
  for (int v = 0; v < kRows; ++v) {
    QCNN_UNROLL
    for (int i = 0; i < kX; ++i) {
      QCNN_UNROLL
      for (int r = 0; r < kRegs; ++r) sum[v][i][r] = all[v][i][part + r];
    }
  }
  for (int64_t step = 0; step < steps; ++step, rows += kRows, codes += kX) {
    const RowCodes<kX> row_codes(codes);
    QCNN_UNROLL
    for (int i = 0; i < kX; ++i) {
      QCNN_UNROLL
      for (int v = 0; v < kRows; ++v) {
        const int16_t* entry = rows[v] + 4 * row_codes.at(i) + 8 * part;
        QCNN_UNROLL
        for (int r = 0; r < kRegs; ++r) {
          sum[v][i][r] = plus(sum[v][i][r], load(entry + 8 * r));
        }
      }
    }
  }
  QCNN_UNROLL
  for (int v = 0; v < kRows; ++v) {
    QCNN_UNROLL
    for (int i = 0; i < kX; ++i) {
      QCNN_UNROLL
      for (int r = 0; r < kRegs; ++r) all[v][i][part + r] = sum[v][i][r];
    }
  }
}

// kRegs: as many as leave the accumulators in registers; with fewer than four the codes are read
// more than once.
template <int kX, int kRows, int kRegs>
void add_planes(const ConvLookup& l, int first_row, int first_plane, int planes) {
  const int16_t* rows[kMaxSteps * kRows];
  list_rows<kRows>(l, first_row, first_plane, planes, rows);
  const int64_t count = static_cast<int64_t>(l.planes) * l.ny * kX;
  const int64_t steps = static_cast<int64_t>(planes) * l.ny;
  const uint16_t* codes = l.codes + static_cast<int64_t>(first_plane) * l.ny * kX;
  int16_t* tile = l.tile + kLanes * first_row;
#if QCNN_HAVE_3X2
  if (kX == 3 && kRows == 2 && l.first_lane == 0 && l.lane_step == 1) {
    for (int64_t c = 0; c < l.outputs; ++c, tile += l.tile_stride, codes += count) {
      look_up_3x2(rows, codes, steps, tile);
    }
    return;
  }
#endif
  for (int64_t c = 0; c < l.outputs; ++c, tile += l.tile_stride, codes += count) {
    Vec all[kRows][kX][4];
    for (int v = 0; v < kRows; ++v) {
      for (int r = 0; r < 4; ++r) {
        all[v][0][r] = l.first_lane == 0 ? load(tile + kLanes * v + 8 * r) : zero();
        for (int i = 1; i < kX; ++i) all[v][i][r] = zero();
      }
    }
    QCNN_UNROLL
    for (int part = 0; part < 4; part += kRegs) {
      look_up<kX, kRows, kRegs>(rows, codes, steps, part, all);
    }
    for (int v = 0; v < kRows; ++v) combine<kX>(l, all[v], tile + kLanes * v);
  }
}

template <int kX, int kRows, int kRegs>
void add_fixed(const ConvLookup& l, int first_row) {
  const int at_once = l.ny < kMaxSteps ? kMaxSteps / l.ny : 1;
  for (int p = 0; p < l.planes; p += at_once) {
    add_planes<kX, kRows, kRegs>(l, first_row, p, l.planes - p < at_once ? l.planes - p : at_once);
  }
}

// aarch64 has 32 registers, armv7 16; some must be left for what is being loaded.
#if defined(__aarch64__)
int window(int nx) { return nx == 1 ? 4 : nx == 2 ? 3 : nx == 3 ? 2 : 1; }
template <int kX>
constexpr int regs() {
  return 4;
}
#else
int window(int nx) { return nx == 1 ? 3 : 1; }
template <int kX>
constexpr int regs() {
  return kX <= 3 ? 4 : 2;
}
#endif

template <int kX>
void add_columns(const ConvLookup& l) {
  const int at_once = window(kX);
  for (int row = 0; row < l.rows; row += at_once) {
    const int rows = l.rows - row < at_once ? l.rows - row : at_once;
    if (rows == 1) {
      add_fixed<kX, 1, regs<kX>()>(l, row);
    } else if (kX <= 3 && rows == 2) {
      add_fixed<kX, kX <= 3 ? 2 : 1, regs<kX>()>(l, row);
    } else if (kX <= 2 && rows == 3) {
      add_fixed<kX, kX <= 2 ? 3 : 1, regs<kX>()>(l, row);
    } else if (kX == 1) {
      add_fixed<kX, kX == 1 ? 4 : 1, regs<kX>()>(l, row);
    }
  }
}

void add_any(const ConvLookup& l) {
  switch (l.nx) {
    case 1:
      return add_columns<1>(l);
    case 2:
      return add_columns<2>(l);
    case 3:
      return add_columns<3>(l);
    case 4:
      return add_columns<4>(l);
    case 5:
      return add_columns<5>(l);
    default:
      return add_columns<6>(l);
  }
}

void clear(const ConvLookup& l) {
  for (int64_t c = 0; c < l.outputs; ++c) {
    int16_t* tile = l.tile + c * l.tile_stride;
    for (int i = 0; i < l.rows * kLanes; i += 8) store(tile + i, zero());
  }
}

// A row of 32 lanes of all outputs at a time, so that the factors stay in registers.
#if defined(__GNUC__)
__attribute__((noinline))  // for benchmarks/arm_mca.py
#endif
void flush(const ConvLookup& l) {
  const bool first = l.first;
  for (int64_t i = 0; i < l.rows * kLanes; i += kLanes) {
    float32x4_t f[kLanes / 4];
    for (int r = 0; r < kLanes / 4; ++r) f[r] = vmulq_n_f32(vld1q_f32(l.factor + i + 4 * r), kUnit);
    for (int64_t at = i; at < l.outputs * l.tile_stride; at += l.tile_stride) {
      for (int r = 0; r < kLanes / 4; r += 2) {
        float32x4_t x[2];
        widen(load(l.tile + at + 4 * r), x);
        float* sum = l.sums + at + 4 * r;
        for (int h = 0; h < 2; ++h) {
          vst1q_f32(sum + 4 * h, first ? vmulq_f32(x[h], f[r + h])
                                       : fma(vld1q_f32(sum + 4 * h), x[h], f[r + h]));
        }
      }
    }
  }
}

void add(const ConvLookup& l) {
  if (l.fresh) clear(l);
  add_any(l);
  if (l.sums != nullptr) flush(l);
}

// vmaxq and vminq keep NaN.
inline float32x4_t activate(float32x4_t x, float32x4_t low, float32x4_t high) {
  return vminq_f32(vmaxq_f32(x, low), high);
}

// r[i][j] = r[j][i].
inline void transpose(float32x4_t* r) {
  const float32x4x2_t ab = vtrnq_f32(r[0], r[1]), cd = vtrnq_f32(r[2], r[3]);
  r[0] = vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0]));
  r[1] = vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1]));
  r[2] = vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0]));
  r[3] = vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1]));
}

// One output in the 8 lanes at `at` of tile and sums.
inline void finished(const ConvFinish& f, int64_t at, const float32x4_t* factor, float32x4_t scale,
                     float32x4_t bias, float32x4_t low, float32x4_t high, float32x4_t* x) {
  widen(load(f.tile + at), x);
  for (int h = 0; h < 2; ++h) {
    x[h] = f.sums != nullptr ? fma(vld1q_f32(f.sums + at + 4 * h), x[h], factor[h])
                             : vmulq_f32(x[h], factor[h]);
    x[h] = activate(fma(bias, x[h], scale), low, high);
  }
}

// Outputs c to c + count - 1 of eight lanes; count from 1 to 4.
template <bool kPooled>
inline void finish_block(const ConvFinish& f, int64_t c, int count, int lane, float32x4_t low,
                         float32x4_t high) {
  const float32x4_t factor[2] = {vmulq_n_f32(vld1q_f32(f.factor + lane), kUnit),
                                 vmulq_n_f32(vld1q_f32(f.factor + lane + 4), kUnit)};
  float32x4_t r[2][4];
  for (int i = 0; i < 4; ++i) {
    if (i >= count) {
      r[0][i] = r[1][i] = vdupq_n_f32(0);
      continue;
    }
    const int64_t at = (c + i) * f.tile_stride + lane;
    const float32x4_t scale = vdupq_n_f32(f.scale != nullptr ? f.scale[c + i] : 1.0f);
    const float32x4_t bias = vdupq_n_f32(f.bias != nullptr ? f.bias[c + i] : 0.0f);
    float32x4_t x[2];
    finished(f, at, factor, scale, bias, low, high, x);
    for (int h = 0; h < 2; ++h) r[h][i] = x[h];
    if (kPooled && f.below != 0) {
      finished(f, at + f.below, factor, scale, bias, low, high, x);
      for (int h = 0; h < 2; ++h) r[h][i] = vmaxq_f32(r[h][i], x[h]);
    }
  }
  for (int h = 0; h < 2; ++h) {
    transpose(r[h]);
    for (int i = 0; i < 4; i += kPooled ? 2 : 1) {
      float* pixel = f.pixels[lane + 4 * h + i];
      if (pixel == nullptr) continue;
      if (kPooled && f.pixels[lane + 4 * h + i + 1] != nullptr) {
        r[h][i] = vmaxq_f32(r[h][i], r[h][i + 1]);
      }
      pixel += c;
      if (count == 4) {
        vst1q_f32(pixel, r[h][i]);
        continue;
      }
      vst1q_lane_f32(pixel, r[h][i], 0);
      if (count > 1) vst1q_lane_f32(pixel + 1, r[h][i], 1);
      if (count > 2) vst1q_lane_f32(pixel + 2, r[h][i], 2);
    }
  }
}

template <bool kPooled>
void finish_fixed(const ConvFinish& from) {
  const ConvFinish f = from;  // a copy that stores to pixels cannot change
  const float kInfinity = __builtin_huge_valf();
  float low = -kInfinity, high = kInfinity;
  if (f.activation == Activation::kRelu || f.activation == Activation::kRelu6) low = 0.0f;
  if (f.activation == Activation::kRelu6) high = 6.0f;
  if (f.activation == Activation::kReluN1To1) {
    low = -1.0f;
    high = 1.0f;
  }
  const float32x4_t lows = vdupq_n_f32(low), highs = vdupq_n_f32(high);
  int64_t c = 0;
  for (; c + 4 <= f.outputs; c += 4) {
    for (int lane = 0; lane < kLanes; lane += 8) {
      finish_block<kPooled>(f, c, 4, lane, lows, highs);
    }
  }
  if (c < f.outputs) {
    const int count = static_cast<int>(f.outputs - c);
    for (int lane = 0; lane < kLanes; lane += 8) {
      finish_block<kPooled>(f, c, count, lane, lows, highs);
    }
  }
}

void finish(const ConvFinish& f) {
  return f.pooled ? finish_fixed<true>(f) : finish_fixed<false>(f);
}

constexpr ConvOps kOps = {moments, patches, quantize, build, conv_pack_each, add, finish, window};

}  // namespace
}  // namespace qcnn

#endif  // QCNN_CORE_QCONV_NEON_INL_H_
