#include "core/qconv.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "core/aligned.h"
#include "core/conv_geometry.h"
#include "core/cpu.h"
#include "core/packed_conv.h"
#include "core/table_scale.h"
#include "core/thread_pool.h"

namespace qcnn {
namespace {

// Table rows that a window reads at most: see kMaxRowSpan of conv_geometry.cc.
constexpr int64_t kMaxRingRows = 32;

// Part of the work that one thread does.
struct Item {
  int64_t group = 0, column = 0, c0 = 0, c1 = 0;
};

// Rows that the quantisation of inputs is ahead of itself.
constexpr int64_t kPrefetchRows = 4;

// Input rows that a thread takes at a time to measure them.
constexpr int64_t kBandRows = 4;

// Asks for memory that is used soon. Rows of a large image come from L3 or further, in pieces too
// short for the hardware to foresee.
template <int kForWriting>
void prefetch(const float* from, int64_t count) {
#if defined(__GNUC__)
  for (int64_t i = 0; i < count; i += 16) __builtin_prefetch(from + i, kForWriting);
#else
  (void)from, (void)count;
#endif
}

class LookupConv final : public ConvLayer {
 public:
  LookupConv(const ConvOps& ops, const ConvShape& shape, const Codes& codes);

  void plan(const ConvShape& shape, int threads) override;
  void run(const float* input, float* output, unsigned char* scratch) override;
  Memory memory() const override;

 private:
  // Scratch of a thread.
  struct Worker {
    int16_t* tile;   // [windows][outputs][window][32]
    float* sums;     // the same, where there is more than one chunk
    int16_t* table;  // [ring_rows][planes][K][32]: table row i is in row i mod ring_rows
    int16_t* x;      // [table rows][planes][pairs][32][2]
    float* patches;  // for ConvOps::patches
    float* scale;    // [rows][32]: of the present chunk's inputs, where pointwise
    float* factor;   // [rows][32]: of the present chunk's sums
  };

  int64_t bands() const { return (shape_.in_h + kBandRows - 1) / kBandRows; }
  void plan_items(int threads);
  size_t place(unsigned char* scratch);
  void measure(const float* image, int64_t band);
  void choose_scale(size_t index, bool positive, Worker* worker);
  void run_item(const Item& item, const float* image, float* result, Worker* worker);
  bool set_outputs(const Column& column, int64_t row, bool whole, float* result,
                   float** pixels) const;
  void set_scales(const Item& item, size_t i, Worker* worker);
  void fill_tile(const Item& item, size_t i, const float* image, Worker* worker);
  void add_block(const Item& item, const Column& column, const TapGrid& grid, const Block& block,
                 size_t i, const int16_t* x, int64_t x_row, Worker* worker);
  void set_pixels(const Column& column, const TapGrid& grid, int64_t row, const float* image,
                  const float** pixels) const;

  const ConvOps& ops_;
  ConvShape shape_;  // as planned
  const PackedConv packed_;
  std::vector<float> bias_, scale_;
  std::vector<float> zeros_;  // [in_channels]: the pixels of the padding

  // Of the plan.
  bool pointwise_ = false;  // positions stand alone: a scale for each
  int threads_ = 1;
  std::shared_ptr<ThreadPool> pool_;
  std::vector<Column> columns_;
  std::vector<Item> items_;
  int64_t positions_ = 0;           // of an image, where pointwise
  std::vector<TableScale> scales_;  // [groups * chunk_count]
  int64_t most_outputs_ = 0, most_rows_ = 0, most_planes_ = 0, most_x_planes_ = 0;  // of an item
  size_t scratch_ = 0;

  // Of a run, in its scratch.
  // Of the pixels' channels in a chunk, [groups * chunk_count][2][in_h * in_w]: sums of squares,
  // sums.
  float* moments_ = nullptr;
  uint8_t* positive_bands_ = nullptr;  // [bands()]: whether no input of these rows is negative
  std::vector<Worker> workers_;        // [threads]
};

LookupConv::LookupConv(const ConvOps& ops, const ConvShape& shape, const Codes& codes)
    : ops_(ops),
      shape_(shape),
      packed_(ops, shape, codes),
      bias_(codes.bias),
      scale_(codes.scale),
      zeros_(static_cast<size_t>(shape.in_channels), 0.0f) {}

void LookupConv::plan(const ConvShape& shape, int threads) {
  shape_ = shape;
  threads_ = std::max(threads, 1);
  pool_ = ThreadPool::get(threads_);
  pointwise_ = shape.kernel_h == 1 && shape.kernel_w == 1 && shape.stride_h == 1 &&
               shape.stride_w == 1 && shape.pad_top == 0 && shape.pad_left == 0 &&
               shape.out_h == shape.in_h && shape.out_w == shape.in_w;
  assert(!pointwise_ || !shape.pooled());
  if (pointwise_) {
    // Only the positions count: they fill the lanes without a gap.
    positions_ = shape.in_h * shape.in_w;
    shape_.in_h = shape_.out_h = (positions_ + kLanes - 1) / kLanes;
    shape_.in_w = shape_.out_w = kLanes;
  }
  plan_items(threads_);
}

void LookupConv::plan_items(int threads) {
  const PackedConv& p = packed_;
  // Costs in cycles, measured on AVX-512; only their ratios matter.
  double table_row = 0, output_row = 0;
  int64_t planes = 0, x_planes = 0;
  for (size_t i = 0; i < p.chunk_count; ++i) {
    for (const ChunkGrid& part : p.chunks[i].grids) {
      const TapGrid& grid = p.grids[static_cast<size_t>(part.grid)];
      const int64_t count = p.chunks[i].m1 - p.chunks[i].m0;
      x_planes = std::max(x_planes, count);
      table_row += static_cast<double>(count * p.K) * (1.0 + 0.8 * static_cast<double>(p.pairs));
      output_row += static_cast<double>(count) * grid.ny * grid.nx * 0.55;
      for (const Block& block : part.blocks) {
        planes = std::max(planes, block.m1 - block.m0);
        for (const Pass& pass : block.passes) output_row += 1.5 + 0.6 * pass.nx;
      }
    }
  }
  output_row += 4.0 * static_cast<double>(p.chunk_count);
  const int64_t tile_bytes = kLanes * (p.chunk_count > 1 ? 6 : 2);
  const int64_t row_bytes = x_planes * p.pairs * kLanes * 4;
  const int64_t room = caches().l2 * 3 / 4 - p.ring_rows * planes * p.K * kLanes * 2;

  const int64_t unit = shape_.pooled() ? 2 : 1;
  // Output blocks build the same tables again, small columns build more halo: what takes the
  // busiest thread least wins.
  double best = std::numeric_limits<double>::infinity();
  int64_t best_outputs = p.outputs;
  for (int64_t parts = 1; parts <= p.outputs; parts *= 2) {
    const int64_t outputs = std::min(p.outputs, ((p.outputs + parts - 1) / parts + 15) / 16 * 16);
    const int64_t most = (room - p.row_span * row_bytes) / (row_bytes + outputs * tile_bytes);
    const int64_t rows = std::max(unit, most / unit * unit);
    const int64_t blocks = (p.outputs + outputs - 1) / outputs;
    const int64_t wanted =
        std::max<int64_t>(1, (threads + shape_.groups * blocks - 1) / (shape_.groups * blocks));
    const ColumnCost cost = {output_row * static_cast<double>(outputs), table_row};
    const std::vector<Column> columns =
        cover(shape_.out_h, shape_.out_w, (p.lane_span + unit - 1) / unit * unit, p.row_span, rows,
              wanted, cost, unit);
    const int64_t items = shape_.groups * blocks * static_cast<int64_t>(columns.size());
    double total = 0;
    for (const Column& column : columns) total += cost(column.rows, p.row_span);
    // Items are handed out one by one: the last one may find the other threads idle.
    total = total / static_cast<double>(columns.size()) *
            std::ceil(static_cast<double>(items) / threads);
    if (total < best * 0.98) {
      best = total;
      best_outputs = outputs;
      columns_ = columns;
    }
  }
  items_.clear();
  int64_t rows = 0;
  for (const Column& column : columns_) rows = std::max(rows, column.rows);
  for (int64_t g = 0; g < shape_.groups; ++g) {
    for (size_t i = 0; i < columns_.size(); ++i) {
      for (int64_t c = 0; c < p.outputs; c += best_outputs) {
        Item item;
        item.group = g;
        item.column = static_cast<int64_t>(i);
        item.c0 = c;
        item.c1 = std::min(p.outputs, c + best_outputs);
        items_.push_back(item);
      }
    }
  }

  scales_.assign(p.chunks.size(), TableScale());
  most_outputs_ = best_outputs;
  most_rows_ = rows;
  most_planes_ = planes;
  most_x_planes_ = x_planes;
  workers_.resize(static_cast<size_t>(threads));
  scratch_ = place(nullptr);
}

// Divides the scratch and returns its size; null to learn that.
size_t LookupConv::place(unsigned char* scratch) {
  AlignedPieces pieces(scratch);
  moments_ = pieces.take<float>(static_cast<int64_t>(packed_.chunks.size()) * 2 * shape_.in_h *
                                shape_.in_w);
  positive_bands_ = pieces.take<uint8_t>(bands());
  const int64_t whole_rows = (most_rows_ + packed_.window - 1) / packed_.window * packed_.window;
  const int64_t tile = most_outputs_ * whole_rows * kLanes;
  for (Worker& worker : workers_) {
    worker.tile = pieces.take<int16_t>(tile);
    worker.sums = pieces.take<float>(packed_.chunk_count > 1 ? tile : 0);
    worker.table = pieces.take<int16_t>(packed_.ring_rows * most_planes_ * packed_.K * kLanes);
    worker.x = pieces.take<int16_t>(most_x_planes_ * (most_rows_ + packed_.row_span) *
                                    packed_.pairs * 2 * kLanes);
    worker.patches = pieces.take<float>(pointwise_ ? 0 : conv_patches_scratch(shape_));
    worker.scale = pieces.take<float>(most_rows_ * kLanes);
    worker.factor = pieces.take<float>(most_rows_ * kLanes);
  }
  return pieces.bytes();
}

Memory LookupConv::memory() const {
  Memory memory;
  memory.packed = packed_.bytes() + (bias_.size() + scale_.size()) * sizeof(float);
  memory.scratch = scratch_;
  return memory;
}

// Moments of a band of rows.
void LookupConv::measure(const float* image, int64_t band) {
  const int64_t size = shape_.in_h * shape_.in_w;
  const int64_t first = band * kBandRows * shape_.in_w;
  const int64_t last = std::min(first + kBandRows * shape_.in_w, pointwise_ ? positions_ : size);
  bool positive = true;
  // Some pixels at a time with all their channels, so that every chunk finds them in the L1 cache.
  const int64_t at_once = std::max<int64_t>(4, 4096 / shape_.in_channels);
  for (int64_t p = first; p < last; p += at_once) {
    const int64_t count = std::min(at_once, last - p);
    const float* pixels = image + p * shape_.in_channels;
    if (p + 2 * count <= last) {
      prefetch<0>(pixels + count * shape_.in_channels, count * shape_.in_channels);
    }
    for (size_t i = 0; i < packed_.chunks.size(); ++i) {
      if (packed_.chunks[i].moments != i) continue;
      const int64_t g = static_cast<int64_t>(i / packed_.chunk_count);
      const int64_t from = packed_.chunks[i].m0 * packed_.d;
      const int64_t width = std::min(packed_.chunks[i].m1 * packed_.d, packed_.channels) - from;
      float* squares = moments_ + static_cast<int64_t>(i) * 2 * size + p;
      positive &= ops_.moments(pixels + g * packed_.channels + from, count, shape_.in_channels,
                               width, squares, squares + size);
    }
  }
  positive_bands_[band] = positive;
}

// Scale of a chunk's tables, from the largest patch of the image. positive: no input is negative.
void LookupConv::choose_scale(size_t index, bool positive, Worker* worker) {
  const Chunk& part = packed_.chunks[index];
  const int64_t size = shape_.in_h * shape_.in_w;
  ConvPatches patches;
  patches.shape = &shape_;
  patches.kernel_row = part.kernel_rows.data();
  patches.kernel_rows = static_cast<int64_t>(part.kernel_rows.size());
  patches.squares = moments_ + static_cast<int64_t>(part.moments) * 2 * size;
  patches.sums = patches.squares + size;
  patches.share = static_cast<float>(1 / part.bound.inputs);
  float largest[4];
  ops_.patches(patches, worker->patches, largest);
  InputBound bound;
  bound.squares = largest[3] == 0.0f ? static_cast<double>(largest[0])
                                     : std::numeric_limits<double>::infinity();
  bound.flat = static_cast<double>(largest[1]);
  bound.sum = static_cast<double>(largest[2]);
  bound.positive = positive;
  scales_[index] = table_scale(bound, part.bound);
}

// Pixels that one table row of a column reads, by lane; of the group's first channel on.
void LookupConv::set_pixels(const Column& column, const TapGrid& grid, int64_t row,
                            const float* image, const float** pixels) const {
  const ConvShape& s = shape_;
  std::fill_n(pixels, kLanes, zeros_.data());
  for (const Strip& strip : column.strips) {
    const int64_t y = (strip.y + row + grid.first_row) * s.stride_h + grid.phase_h - s.pad_top;
    if (y < 0 || y >= s.in_h || row >= strip.rows + grid.row_span()) continue;
    // Of the lanes, those that are inside the row: without a question for each.
    const int64_t x = (strip.x + grid.first_lane) * s.stride_w + grid.phase_w - s.pad_left;
    const int64_t row_end = pointwise_ ? std::min(s.in_w, positions_ - y * s.in_w) : s.in_w;
    const int64_t first = x < 0 ? (-x + s.stride_w - 1) / s.stride_w : 0;
    const int64_t last = x < row_end ? std::min(strip.width + grid.lane_span(),
                                                (row_end - x + s.stride_w - 1) / s.stride_w)
                                     : 0;
    if (first >= last) continue;
    const float* in_row = image + y * s.in_w * s.in_channels;
    for (int64_t l = first; l < last; ++l) {
      pixels[strip.lane + l] = in_row + (x + l * s.stride_w) * s.in_channels;
    }
  }
}

// Scale and factor of every lane of the item's column.
void LookupConv::set_scales(const Item& item, size_t i, Worker* worker) {
  const Column& column = columns_[static_cast<size_t>(item.column)];
  const size_t index = static_cast<size_t>(item.group) * packed_.chunk_count + i;
  const int64_t lanes = column.rows * kLanes;
  if (!pointwise_) {
    std::fill_n(worker->scale, lanes, scales_[index].input);
    std::fill_n(worker->factor, lanes, scales_[index].factor);
    return;
  }
  const int64_t size = shape_.in_h * shape_.in_w;
  const float* squares = moments_ + static_cast<int64_t>(packed_.chunks[index].moments) * 2 * size;
  const float* sums = squares + size;
  const ChunkBound& weights = packed_.chunks[index].bound;
  std::fill_n(worker->scale, lanes, 0.0f);
  std::fill_n(worker->factor, lanes, 0.0f);
  for (const Strip& strip : column.strips) {
    for (int64_t row = 0; row < strip.rows; ++row) {
      const int64_t first = (strip.y + row) * shape_.in_w + strip.x;
      const int64_t lane = row * kLanes + strip.lane;
      const int64_t count = std::min(strip.width, positions_ - first);
      for (int64_t l = 0; l < count; ++l) {
        InputBound bound;
        bound.squares = static_cast<double>(squares[first + l]);
        bound.sum = std::abs(static_cast<double>(sums[first + l]));
        bound.flat = bound.squares - bound.sum * bound.sum / weights.inputs;
        const TableScale scale = table_scale(bound, weights);
        worker->scale[lane + l] = scale.input;
        worker->factor[lane + l] = scale.factor;
      }
    }
  }
}

// Lookups of one chunk, into the worker's tile.
void LookupConv::fill_tile(const Item& item, size_t i, const float* image, Worker* worker) {
  const Column& column = columns_[static_cast<size_t>(item.column)];
  const Chunk& part = packed_.chunk(item.group, i);
  const int64_t d = packed_.d, pairs = packed_.pairs, channels = packed_.channels;
  for (const ChunkGrid& chunk_grid : part.grids) {
    const TapGrid& grid = packed_.grids[static_cast<size_t>(chunk_grid.grid)];
    const int64_t rows = column.rows + grid.row_span();
    const int64_t x_plane = pairs * 2 * kLanes;
    const int64_t x_row = (part.m1 - part.m0) * x_plane;
    // Where d is even, the pairs of a chunk's channels are those of its subspaces in a row.
    const int64_t at_once = d % 2 == 0 ? part.m1 - part.m0 : 1;
    const int64_t first = item.group * channels + part.m0 * d;
    const int64_t count = std::min(channels, part.m1 * d) - part.m0 * d;
    const float* pixels[kLanes];
    const bool large = shape_.in_h * shape_.in_w * shape_.in_channels * 4 > caches().l2;
    for (int64_t row = large ? -kPrefetchRows : 0; row < rows; ++row) {
      if (large && row + kPrefetchRows < rows) {
        set_pixels(column, grid, row + kPrefetchRows, image, pixels);
        for (const float* pixel : pixels) prefetch<0>(pixel + first, count);
      }
      if (row < 0) continue;
      set_pixels(column, grid, row, image, pixels);
      const float* scale = worker->scale + (pointwise_ ? row * kLanes : 0);
      for (int64_t m = part.m0; m < part.m1; m += at_once) {
        const int64_t width = std::min(at_once * d, channels - m * d);
        int16_t* to = worker->x + row * x_row + (m - part.m0) * x_plane;
        const int64_t written = (width + 1) / 2, expected = at_once * pairs;
        if (written < expected) {
          std::memset(to + written * 2 * kLanes, 0,
                      static_cast<size_t>((expected - written) * 2 * kLanes * 2));
        }
        ops_.quantize(pixels, item.group * channels + m * d, scale, width, to);
      }
    }
    for (const Block& block : chunk_grid.blocks) {
      add_block(item, column, grid, block, i, worker->x + (block.m0 - part.m0) * x_plane, x_row,
                worker);
    }
  }
}

// Lookups of one block. Tables are built a window at a time, just before they are read, so that
// they stay in the L1 cache; the rows that two windows share are kept. i: the block's chunk; x:
// [table rows][planes][pairs][32][2], x_row from row to row.
void LookupConv::add_block(const Item& item, const Column& column, const TapGrid& grid,
                           const Block& block, size_t i, const int16_t* x, int64_t x_row,
                           Worker* worker) {
  const std::vector<ChunkGrid>& grids = packed_.chunk(item.group, i).grids;
  const Pass* first = &grids.front().blocks.front().passes.front();
  const Pass* last =
      i + 1 < packed_.chunk_count ? &grids.back().blocks.back().passes.back() : nullptr;
  const int64_t planes = block.m1 - block.m0;
  const int64_t plane = packed_.K * kLanes;
  const int64_t word_plane = packed_.K * packed_.pairs * 2;
  const int64_t window = packed_.window;
  int64_t built = 0;
  for (int64_t row = 0; row < column.rows; row += window) {
    const int64_t rows = std::min(window, column.rows - row);
    const int64_t needed = row + rows + grid.row_span();
    int16_t* table[kMaxRingRows];
    for (int64_t r = built; r < needed; ++r) {
      table[r - built] = worker->table + r % packed_.ring_rows * planes * plane;
    }
    for (int64_t p = 0; p < planes; ++p) {
      const int64_t book = packed_.codebook(item.group, block.m0 + p);
      ops_.build(packed_.words.data() + book * word_plane, packed_.K, packed_.pairs,
                 x + built * x_row + p * packed_.pairs * 2 * kLanes, x_row, needed - built, table);
      for (int64_t r = built; r < needed; ++r) table[r - built] += plane;
    }
    built = needed;
    for (int64_t r = row; r < needed; ++r) {
      table[r - row] = worker->table + r % packed_.ring_rows * planes * plane;
    }
    const int64_t outputs = item.c1 - item.c0;
    const int64_t at = row * outputs * kLanes;
    for (const Pass& pass : block.passes) {
      ConvLookup lookup = packed_.lookup(grid, block, pass);
      lookup.table = table;
      lookup.codes = packed_.codes.data() + pass.codes + item.c0 * pass.stride;
      lookup.outputs = outputs;
      lookup.rows = static_cast<int>(rows);
      lookup.fresh = &pass == first;
      lookup.tile = worker->tile + at;
      lookup.tile_stride = window * kLanes;
      lookup.sums = &pass == last ? worker->sums + at : nullptr;
      lookup.factor = worker->factor + row * kLanes;
      lookup.first = i == 0;
      ops_.add(lookup);
    }
  }
}

void LookupConv::run_item(const Item& item, const float* image, float* result, Worker* worker) {
  const Column& column = columns_[static_cast<size_t>(item.column)];
  for (size_t i = 0; i < packed_.chunk_count; ++i) {
    set_scales(item, i, worker);
    fill_tile(item, i, image, worker);
  }
  ConvFinish finish;
  const int64_t window = packed_.window;
  finish.tile_stride = window * kLanes;
  const int64_t c = item.group * packed_.outputs + item.c0;
  finish.scale = scale_.empty() ? nullptr : scale_.data() + c;
  finish.bias = bias_.empty() ? nullptr : bias_.data() + c;
  finish.outputs = item.c1 - item.c0;
  finish.activation = shape_.activation;
  float* pixels[kLanes];
  finish.pixels = pixels;
  finish.pooled = shape_.pooled();
  const auto tile_row = [&](int64_t row) {
    return (row / window * window * finish.outputs + row % window) * kLanes;
  };
  const int64_t width = finish.pooled ? shape_.pooled_w : shape_.out_w;
  for (int64_t row = 0; row < column.rows; row += finish.pooled ? 2 : 1) {
    // An odd number of rows ends with half a window of the pooling, in some strips of the column.
    for (const bool whole : {true, false}) {
      if (!whole && !finish.pooled) break;
      if (!set_outputs(column, row, whole, result + c, pixels)) continue;
      for (float* pixel : pixels) {
        // The row below: images of more than one column are of this width.
        if (pixel != nullptr && row + 1 < column.rows) {
          prefetch<1>(pixel + width * shape_.out_channels, finish.outputs);
        }
      }
      finish.factor = worker->factor + row * kLanes;
      finish.tile = worker->tile + tile_row(row);
      finish.sums = packed_.chunk_count > 1 ? worker->sums + tile_row(row) : nullptr;
      finish.below = finish.pooled && whole ? tile_row(row + 1) - tile_row(row) : 0;
      ops_.finish(finish);
    }
  }
}

// Where a row's outputs go, by lane, or with pooling the maxima of `row` and row + 1, in the strips
// that have both (whole) or only the first of them. False where there is no such strip. result: the
// image's, from the item's first output on.
bool LookupConv::set_outputs(const Column& column, int64_t row, bool whole, float* result,
                             float** pixels) const {
  const ConvShape& s = shape_;
  bool any = false;
  std::fill_n(pixels, kLanes, nullptr);
  for (const Strip& strip : column.strips) {
    if (row >= strip.rows || whole != (!s.pooled() || row + 1 < strip.rows)) continue;
    any = true;
    if (!s.pooled()) {
      const int64_t first = (strip.y + row) * s.out_w + strip.x;
      const int64_t count = pointwise_ ? std::min(strip.width, positions_ - first) : strip.width;
      for (int64_t l = 0; l < count; ++l) {
        pixels[strip.lane + l] = result + (first + l) * s.out_channels;
      }
      continue;
    }
    const int64_t y = (strip.y + row) / 2;
    for (int64_t l = 0; l < strip.width && y < s.pooled_h; ++l) {
      const int64_t x = (strip.x + l) / 2;
      if (x < s.pooled_w) pixels[strip.lane + l] = result + (y * s.pooled_w + x) * s.out_channels;
    }
  }
  return any;
}

void LookupConv::run(const float* input, float* output, unsigned char* scratch) {
  assert(input != nullptr && output != nullptr && scratch != nullptr);
  place(scratch);
  const int64_t pixels = pointwise_ ? positions_ : shape_.in_h * shape_.in_w;
  const int64_t results = pointwise_        ? positions_
                          : shape_.pooled() ? shape_.pooled_h * shape_.pooled_w
                                            : shape_.out_h * shape_.out_w;
  for (int64_t n = 0; n < shape_.batch; ++n) {
    const float* image = input + n * pixels * shape_.in_channels;
    float* result = output + n * results * shape_.out_channels;
    parallel_for(pool_.get(), threads_, bands(), [&](int64_t i, int) { measure(image, i); });
    const bool positive =
        std::find(positive_bands_, positive_bands_ + bands(), 0) == positive_bands_ + bands();
    const int64_t scales = pointwise_ ? 0 : static_cast<int64_t>(packed_.chunks.size());
    parallel_for(pool_.get(), threads_, scales, [&](int64_t i, int worker) {
      choose_scale(static_cast<size_t>(i), positive, &workers_[static_cast<size_t>(worker)]);
    });
    parallel_for(pool_.get(), threads_, static_cast<int64_t>(items_.size()),
                 [&](int64_t i, int worker) {
                   run_item(items_[static_cast<size_t>(i)], image, result,
                            &workers_[static_cast<size_t>(worker)]);
                 });
  }
}

}  // namespace

std::unique_ptr<ConvLayer> make_conv(const ConvOps& ops, const ConvShape& shape, Codes codes) {
  return std::make_unique<LookupConv>(ops, shape, codes);
}

}  // namespace qcnn
