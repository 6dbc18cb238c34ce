// What an instruction set must be able to do for the fast convolution (qconv.h). The algorithm is
// written once; these primitives are written for every instruction set.
//
// Files that implement them are compiled with flags of their own, so they may define and
// instantiate nothing that has external linkage but their table of functions: a linker could hand,
// say, the AVX-512 copy of an inline function of the standard library to everyone.
#ifndef QCNN_CORE_CONV_OPS_H_
#define QCNN_CORE_CONV_OPS_H_

#include <cstdint>

#include "core/layer.h"

namespace qcnn {

// Positions of the output are handled in rows of 32 lanes of int16: one AVX-512 register, two AVX2
// registers, four NEON registers. Buffers of rows are aligned to 64 bytes.
inline constexpr int kLanes = 32;

// Columns of a kernel that one call of `add` takes at most.
inline constexpr int kMaxTaps = 6;

// Output rows that one call of `add` takes at most; two with more codewords than kNarrowK, whose
// tables leave the L1 cache with more.
inline constexpr int kMaxWindow = 4, kMaxWideWindow = 2;
inline constexpr int64_t kNarrowK = 128;

// The lookups of a block of planes (subspaces, or phases of subspaces) in a window of output rows.
struct ConvLookup {
  // Table rows of the first plane, each [K][32]: kernel row i of the window's row v reads
  // table[v + i * row_step].
  const int16_t* const* table;
  int64_t plane_stride;  // from plane to plane, in int16
  int64_t row_step;
  int64_t K;           // codewords of a codebook
  int planes, ny, nx;  // nx <= kMaxTaps
  // Lanes by which the first kernel column is shifted; with the others at most 16.
  int first_lane;
  int lane_step;          // lanes from kernel column to kernel column
  const uint16_t* codes;  // [outputs], each as ConvOps::pack writes them
  int64_t outputs;
  int rows;       // of the window: at most ConvOps::window, and kMaxWideWindow if K > kNarrowK
  bool fresh;     // the tile holds nothing yet, which counts as zeros
  int16_t* tile;  // [outputs][tile_stride / 32][32]; the window's rows come first
  int64_t tile_stride;  // in int16
  // Where the chunk's sums go in the end, of the tile's layout; null before the last lookups of a
  // chunk.
  float* sums;
  const float* factor;  // [rows][32]
  bool first;           // sums hold nothing yet
};

struct ConvFinish {
  const int16_t* tile;  // [outputs][...][32]
  int64_t tile_stride;  // from output to output, in elements, of tile and sums alike
  const float* sums;    // of the same layout, or null: what earlier chunks came to
  const float* factor;  // [32]: of the tile's lanes
  const float* scale;   // [outputs] or null
  const float* bias;    // [outputs] or null
  int64_t outputs;
  Activation activation;
  float* const* pixels;  // [32]: where each lane's outputs go, [outputs]; null for no position
  // Max pooling: of every two lanes, first an even one, and of the row below them. The outputs go
  // to the even lane's pixel; where the odd one's is null it does not count.
  bool pooled = false;
  // From the tile's row to the one below, in elements, of tile and sums alike; 0: there is none.
  int64_t below = 0;
};

// The inputs of an image's outputs that meet some rows of the kernel.
struct ConvPatches {
  const ConvShape* shape;
  const int64_t* kernel_row;  // [kernel_rows]
  int64_t kernel_rows;
  const float *squares, *sums;  // [in_h][in_w], as of ConvOps::moments
  float share;                  // 1 / inputs of an output
};

// Pixels of a row with its padding, or those that outputs read where these are more.
static inline int64_t conv_padded_width(const ConvShape& s) {
  const int64_t read = (s.out_w - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w + 1;
  return s.pad_left + s.in_w > read ? s.pad_left + s.in_w : read;
}

// Whether ConvOps::patches sorts a row's columns by x mod stride_w; a wide padding with a wide
// stride would take more than the outputs do.
static inline bool conv_patches_split(const ConvShape& s) {
  return s.stride_w > 1 && conv_padded_width(s) <= s.out_w * s.kernel_w;
}

// Floats of scratch that ConvOps::patches takes.
static inline int64_t conv_patches_scratch(const ConvShape& s) {
  const int64_t padded = conv_padded_width(s);
  const int64_t phases = conv_patches_split(s) ? padded + s.stride_w : 0;
  return 2 * padded + phases + 6 * s.out_w;
}

// Each code * 8, [planes][ny][nx]: the plainest ConvOps::pack.
static inline int64_t conv_pack_each(const ConvLookup& lookup, const uint8_t* codes,
                                     uint16_t* packed) {
  const int64_t count = static_cast<int64_t>(lookup.planes) * lookup.ny * lookup.nx;
  for (int64_t i = 0; packed != nullptr && i < count; ++i) {
    packed[i] = static_cast<uint16_t>(8 * codes[i]);
  }
  return count;
}

struct ConvOps {
  // squares[p], sums[p] = sum of squares, sum of input[p * stride] to input[p * stride + width -
  // 1], 0 <= p < pixels. Returns whether none of these values is negative; where one is NaN
  // it may return false.
  bool (*moments)(const float* input, int64_t pixels, int64_t stride, int64_t width, float* squares,
                  float* sums);

  // Over all outputs, largest[0] = the largest sum of squares, [1] of squares - sum^2 * share, [2]
  // the largest absolute sum; [3] is 0, or NaN if one of them was no finite number. scratch:
  // [conv_patches_scratch()].
  void (*patches)(const ConvPatches& patches, float* scratch, float* largest);

  // out[j / 2][lane][j % 2] = round(pixels[lane][first + j] * scale[lane]) for 0 <= j < width, 0
  // for j = width if width is odd. The lanes of a row are in the order that `build` wants. pixels,
  // scale: [32]. Results are inside int16, or (after NaN) of no importance.
  void (*quantize)(const float* const* pixels, int64_t first, const float* scale, int64_t width,
                   int16_t* out);

  // table[row][k][lane] = (0x8000 + sum of words[k][j] * x[row][j / 2][lane][j % 2] over 0 <= j <
  // 2 * pairs) >> 16, all modulo 2^32 and 2^16.
  // words: [K][pairs][2]; x: [rows][pairs][32][2] of `quantize`, x_stride int16 from row to row;
  // table: [rows] of [K][32].
  void (*build)(const int16_t* words, int64_t K, int64_t pairs, const int16_t* x, int64_t x_stride,
                int64_t rows, int16_t* const* table);

  // Writes the codes of one output, [planes][ny][nx], as `add` reads them from a ConvLookup of
  // these K, planes, ny, nx, row_step and first_lane, and returns how many uint16 they take.
  // packed: null to learn that.
  int64_t (*pack)(const ConvLookup& lookup, const uint8_t* codes, uint16_t* packed);

  // tile[c][v][lane] += sum over planes, ky, kx of
  //   table[v + ky * row_step][plane][code][(lane + first_lane + kx * lane_step) mod 32], modulo
  //   2^16. Lanes that a shift fills from the row's other end are of no importance: no output is
  //   there. With l.sums
  //   sums[c][v][lane] = (first ? 0 : sums[c][v][lane]) + tile[c][v][lane] * factor[v][lane]
  //   and the tile is of no importance afterwards.
  void (*add)(const ConvLookup& lookup);

  // pixels[lane][c] = activation(scale[c] * (sums[c][lane] + tile[c][lane] * factor[lane]) +
  // bias[c]), or, pooled, the largest of up to four of these; NaN where one is.
  void (*finish)(const ConvFinish& finish);

  // Output rows that `add` should be given for a number of kernel columns, 1 to kMaxWindow.
  int (*window)(int nx);
};

// Null where the build lacks the instruction set; whether the CPU has it is for the caller to know.
const ConvOps* conv_ops_avx2();
const ConvOps* conv_ops_avx512();
const ConvOps* conv_ops_avx512_vnni();
const ConvOps* conv_ops_neon();
const ConvOps* conv_ops_neon_dotprod();

}  // namespace qcnn

#endif  // QCNN_CORE_CONV_OPS_H_
