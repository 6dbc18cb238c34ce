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
#include "core/table_scale.h"
#include "core/thread_pool.h"

namespace qcnn {
namespace {

// A run of kernel columns of a grid, as one call of ConvOps::add takes it.
struct Pass {
  int first = 0, nx = 0;
  int64_t codes = 0;   // where they begin in LookupConv::codes_: [C_out / groups][stride]
  int64_t stride = 0;  // what the codes of an output take: ConvOps::pack
};

// Subspaces whose tables are in the cache together.
struct Block {
  int64_t m0 = 0, m1 = 0;
  std::vector<Pass> passes;
};

struct ChunkGrid {
  int grid = 0;
  std::vector<Block> blocks;
};

// Subspaces that share a scale.
struct Chunk {
  int64_t m0 = 0, m1 = 0;
  std::vector<ChunkGrid> grids;
  std::vector<int64_t> kernel_rows;  // of its grids
  size_t moments = 0;                // index of the first chunk of these subspaces
  ChunkBound bound;
};

// Table rows that a window reads at most: see kMaxRowSpan of conv_geometry.cc.
constexpr int64_t kMaxRingRows = 32;

// Part of the work that one thread does.
struct Item {
  int64_t group = 0, column = 0, c0 = 0, c1 = 0;
};

// Rows that the quantisation of inputs is ahead of itself.
constexpr int64_t kPrefetchRows = 4;

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
    int16_t* tile;   // [windows][outputs][window_][32]
    float* sums;     // the same, where there is more than one chunk
    int16_t* table;  // [ring_rows_][planes][K][32]: table row i is in row i mod ring_rows_
    int16_t* x;      // [table rows][planes][pairs][32][2]
    float* patches;  // for ConvOps::patches
    float* scale;    // [rows][32]: of the present chunk's inputs, where pointwise
    float* factor;   // [rows][32]: of the present chunk's sums
  };

  Chunk& chunk(int64_t group, size_t i) { return chunks_[group * chunk_count_ + i]; }
  void make_chunks();
  void pack_words(const Codes& codes);
  ConvLookup lookup_of(const TapGrid& grid, const Block& block, const Pass& pass) const;
  void place_codes();
  void pack_codes(const Codes& codes);
  void plan_items(int threads);
  size_t place(unsigned char* scratch);
  void measure(const float* image, int64_t y0, int64_t y1);
  void choose_scale(size_t index, Worker* worker);
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
  ConvShape shape_;                                 // as planned
  int64_t M_, K_, d_, pairs_, channels_, outputs_;  // the last two of a group
  bool pointwise_;                                  // positions stand alone: a scale for each
  std::vector<TapGrid> grids_;
  int64_t lane_span_ = 0, row_span_ = 0;
  int64_t window_ = kMaxWindow;  // output rows at a time
  int64_t ring_rows_ = 0;        // table rows that a window reads
  size_t chunk_count_ = 0;
  std::vector<Chunk> chunks_;  // [groups][chunk_count_]
  int64_t codebook_count_;
  AlignedArray<int16_t> words_;   // [codebooks][K][pairs][2]
  AlignedArray<uint16_t> codes_;  // as Pass::codes says
  std::vector<float> bias_, scale_;
  std::vector<float> zeros_;  // [in_channels]: the pixels of the padding

  // Of the plan.
  int threads_ = 1;
  std::shared_ptr<ThreadPool> pool_;
  std::vector<Column> columns_;
  std::vector<Item> items_;
  int64_t positions_ = 0;           // of an image, where pointwise
  std::vector<TableScale> scales_;  // [groups * chunk_count_]
  int64_t most_outputs_ = 0, most_rows_ = 0, most_planes_ = 0, most_x_planes_ = 0;  // of an item
  size_t scratch_ = 0;

  // Of a run, in its scratch.
  // Of the pixels' channels in a chunk, [groups * chunk_count_][2][in_h * in_w]: sums of squares,
  // sums.
  float* moments_ = nullptr;
  std::vector<Worker> workers_;  // [threads]
};

LookupConv::LookupConv(const ConvOps& ops, const ConvShape& shape, const Codes& codes)
    : ops_(ops),
      shape_(shape),
      M_(codes.M),
      K_(codes.K),
      d_(codes.d),
      pairs_((codes.d + 1) / 2),
      channels_(shape.in_channels / shape.groups),
      outputs_(shape.out_channels / shape.groups),
      grids_(tap_grids(shape)),
      codebook_count_(codes.codebook_count),
      bias_(codes.bias),
      scale_(codes.scale),
      zeros_(static_cast<size_t>(shape.in_channels), 0.0f) {
  assert(M_ == (channels_ + d_ - 1) / d_);
  for (const TapGrid& grid : grids_) {
    lane_span_ = std::max(lane_span_, grid.lane_span());
    row_span_ = std::max(row_span_, grid.row_span());
  }
  make_chunks();
  pack_words(codes);
  place_codes();
  pack_codes(codes);
}

void LookupConv::make_chunks() {
  const double taps = static_cast<double>(shape_.kernel_h * shape_.kernel_w);
  const double limit =
      (taps > 1 ? kConvChunkWeight : kPointwiseChunkWeight) / std::sqrt(static_cast<double>(d_));
  // Grids of the same kernel rows follow each other.
  size_t beside = 1;
  while (beside < grids_.size() && grids_[beside].first_ky == grids_[0].first_ky) ++beside;
  // The table rows of a window should stay in the L1 cache beside what streams through it; more
  // than one subspace at a time only where they take half of it (measured on Zen 5).
  const int64_t row_bytes = K_ * kLanes * 2;
  for (const TapGrid& grid : grids_) {
    const int most = ops_.window(std::min(grid.nx, kMaxTaps), K_);
    window_ =
        std::min(window_, std::clamp<int64_t>(caches().l1 * 2 / 3 / row_bytes - grid.row_span(),
                                              std::min(most, 2), most));
  }
  ring_rows_ = window_ + row_span_;
  std::vector<Chunk> chunks;
  const auto add = [&](int64_t m0, int64_t m1, size_t first, size_t last) {
    Chunk chunk;
    chunk.m0 = m0;
    chunk.m1 = m1;
    for (size_t i = first; i < last; ++i) {
      const TapGrid& grid = grids_[i];
      chunk.bound.lookups += static_cast<double>(m1 - m0) * grid.ny * grid.nx;
      ChunkGrid part;
      part.grid = static_cast<int>(i);
      const int64_t fit =
          std::max<int64_t>(1, caches().l1 / 2 / (row_bytes * (window_ + grid.row_span())));
      for (int64_t m = m0; m < m1; m += fit) {
        Block block;
        block.m0 = m;
        block.m1 = std::min(m1, m + fit);
        for (int x = 0; x < grid.nx; x += kMaxTaps) {
          Pass pass;
          pass.first = x;
          pass.nx = std::min(kMaxTaps, grid.nx - x);
          block.passes.push_back(pass);
        }
        part.blocks.push_back(block);
      }
      chunk.grids.push_back(part);
    }
    for (size_t i = first; i < last; i += beside) {
      for (int y = 0; y < grids_[i].ny; ++y) {
        chunk.kernel_rows.push_back(grids_[i].first_ky + y * grids_[i].ky_step);
      }
    }
    const int64_t width = std::min(m1 * d_, channels_) - m0 * d_;
    chunk.bound.inputs = static_cast<double>(width * shape_.kernel_w) *
                         static_cast<double>(chunk.kernel_rows.size());
    chunk.bound.whole = true;
    chunks.push_back(chunk);
  };
  const int64_t at_once = static_cast<int64_t>(limit / taps);
  if (at_once >= 1) {
    // Equal chunks: the last one would otherwise be small and still cost a pass over the sums.
    const int64_t count = (M_ + at_once - 1) / at_once;
    for (int64_t i = 0; i < count; ++i) {
      add(M_ * i / count, M_ * (i + 1) / count, 0, grids_.size());
    }
  } else {
    // Chunks of whole kernel rows.
    for (int64_t m = 0; m < M_; ++m) {
      size_t first = 0;
      double sum = 0;
      for (size_t i = 0; i < grids_.size(); i += beside) {
        const double more = static_cast<double>(grids_[i].ny * shape_.kernel_w);
        if (i > first && sum + more > limit) {
          add(m, m + 1, first, i);
          first = i;
          sum = 0;
        }
        sum += more;
      }
      add(m, m + 1, first, grids_.size());
    }
  }
  chunk_count_ = chunks.size();
  for (int64_t g = 0; g < shape_.groups; ++g) {
    for (Chunk& chunk : chunks) {
      const size_t index = chunks_.size();
      const bool first = index % chunk_count_ == 0 || chunks_.back().m0 != chunk.m0;
      chunk.moments = first ? index : chunks_.back().moments;
      chunks_.push_back(chunk);
    }
  }
}

void LookupConv::pack_words(const Codes& codes) {
  const int64_t word = 2 * pairs_;
  words_.resize(codebook_count_ * K_ * word);
  std::fill_n(words_.data(), words_.size(), int16_t{0});
  std::vector<double> scales(static_cast<size_t>(codebook_count_), 0);
  const auto index = [&](int64_t g, int64_t m) {
    return codebook_count_ == 1 ? 0 : codebook_count_ == M_ ? m : g * M_ + m;
  };
  const auto largest = [&](int64_t codebook) {
    float most = 0;
    const float* values = codes.codebooks.data() + codebook * K_ * d_;
    for (int64_t i = 0; i < K_ * d_; ++i) most = std::max(most, std::abs(values[i]));
    return static_cast<double>(most);
  };
  // One scale for the codebooks of a chunk, in all groups that share them.
  std::vector<double> most(static_cast<size_t>(codebook_count_));
  for (int64_t b = 0; b < codebook_count_; ++b) most[static_cast<size_t>(b)] = largest(b);
  for (size_t i = 0; i < chunks_.size(); ++i) {
    double top = 0;
    for (int64_t g = 0; g < shape_.groups; ++g) {
      for (int64_t m = chunks_[i].m0; m < chunks_[i].m1; ++m) {
        top = std::max(top, most[static_cast<size_t>(index(g, m))]);
      }
    }
    // A scale beyond float would make its inverse no number.
    chunks_[i].bound.word_scale = top > 0 ? std::min(32767 / top, 1e30) : 1;
    for (int64_t g = 0; g < shape_.groups; ++g) {
      for (int64_t m = chunks_[i].m0; m < chunks_[i].m1; ++m) {
        scales[static_cast<size_t>(index(g, m))] = chunks_[i].bound.word_scale;
      }
    }
  }
  for (int64_t b = 0; b < codebook_count_; ++b) {
    for (int64_t k = 0; k < K_; ++k) {
      for (int64_t j = 0; j < d_; ++j) {
        const double value = static_cast<double>(codes.codebooks[(b * K_ + k) * d_ + j]);
        words_[(b * K_ + k) * word + j] =
            static_cast<int16_t>(std::lrint(value * scales[static_cast<size_t>(b)]));
      }
    }
  }
}

// What does not change from window to window.
ConvLookup LookupConv::lookup_of(const TapGrid& grid, const Block& block, const Pass& pass) const {
  ConvLookup lookup = {};
  lookup.plane_stride = K_ * kLanes;
  lookup.row_step = grid.row_step;
  lookup.K = K_;
  lookup.planes = static_cast<int>(block.m1 - block.m0);
  lookup.ny = grid.ny;
  lookup.nx = pass.nx;
  lookup.first_lane = static_cast<int>(pass.first * grid.lane_step);
  lookup.lane_step = static_cast<int>(grid.lane_step);
  return lookup;
}

// Where the codes of each pass begin.
void LookupConv::place_codes() {
  int64_t size = 0;
  for (Chunk& chunk : chunks_) {
    for (ChunkGrid& part : chunk.grids) {
      const TapGrid& grid = grids_[static_cast<size_t>(part.grid)];
      for (Block& block : part.blocks) {
        for (Pass& pass : block.passes) {
          pass.stride = ops_.pack(lookup_of(grid, block, pass), nullptr, nullptr);
          pass.codes = size;
          size += (outputs_ * pass.stride + 3) / 4 * 4;
        }
      }
    }
  }
  codes_.resize(size);
}

void LookupConv::pack_codes(const Codes& codes) {
  const int64_t taps = shape_.kernel_h * shape_.kernel_w;
  // Sums of squares and sums of the int16 codewords, in the last subspace of the channels that
  // exist.
  std::vector<double> squares(static_cast<size_t>(2 * codebook_count_ * K_)), sums(squares.size());
  const int64_t last_width = channels_ - (M_ - 1) * d_;
  for (int64_t i = 0; i < codebook_count_ * K_; ++i) {
    const int16_t* word = words_.data() + i * 2 * pairs_;
    for (int64_t j = 0; j < d_; ++j) {
      const double value = static_cast<double>(word[j]);
      for (int64_t part = 0; part < (j < last_width ? 2 : 1); ++part) {
        squares[static_cast<size_t>(2 * i + part)] += value * value;
        sums[static_cast<size_t>(2 * i + part)] += value;
      }
    }
  }
  std::vector<double> norms(static_cast<size_t>(outputs_)), totals(norms.size());
  std::vector<uint8_t> of_output;  // [planes][ny][nx]
  for (int64_t g = 0; g < shape_.groups; ++g) {
    for (size_t i = 0; i < chunk_count_; ++i) {
      Chunk& part = chunk(g, i);
      std::fill(norms.begin(), norms.end(), 0.0);
      std::fill(totals.begin(), totals.end(), 0.0);
      for (ChunkGrid& chunk_grid : part.grids) {
        const TapGrid& grid = grids_[static_cast<size_t>(chunk_grid.grid)];
        for (Block& block : chunk_grid.blocks) {
          for (const Pass& pass : block.passes) {
            const ConvLookup lookup = lookup_of(grid, block, pass);
            for (int64_t c = 0; c < outputs_; ++c) {
              of_output.clear();
              for (int64_t m = block.m0; m < block.m1; ++m) {
                const int64_t book = codebook_count_ == 1    ? 0
                                     : codebook_count_ == M_ ? m
                                                             : g * M_ + m;
                const uint8_t* from =
                    codes.codes.data() + (m * shape_.out_channels + g * outputs_ + c) * taps;
                for (int y = 0; y < grid.ny; ++y) {
                  for (int x = pass.first; x < pass.first + pass.nx; ++x) {
                    const int64_t ky = grid.first_ky + y * grid.ky_step;
                    const int64_t kx = grid.first_kx + x * grid.kx_step;
                    const uint8_t code = from[ky * shape_.kernel_w + kx];
                    of_output.push_back(code);
                    const auto at_word =
                        static_cast<size_t>(2 * (book * K_ + code) + (m == M_ - 1 ? 1 : 0));
                    norms[static_cast<size_t>(c)] += squares[at_word];
                    totals[static_cast<size_t>(c)] += sums[at_word];
                  }
                }
              }
              ops_.pack(lookup, of_output.data(), codes_.data() + pass.codes + c * pass.stride);
            }
          }
        }
      }
      for (size_t c = 0; c < norms.size(); ++c) {
        ChunkBound& bound = part.bound;
        bound.norm = std::max(bound.norm, std::sqrt(norms[c]));
        const double flat = norms[c] - totals[c] * totals[c] / bound.inputs;
        bound.flat_norm = std::max(bound.flat_norm, std::sqrt(std::max(flat, 0.0)));
        bound.mean = std::max(bound.mean, std::abs(totals[c]) / bound.inputs);
      }
    }
  }
}

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
  // Costs in cycles, measured on AVX-512; only their ratios matter.
  double table_row = 0, output_row = 0;
  int64_t planes = 0, x_planes = 0;
  for (size_t i = 0; i < chunk_count_; ++i) {
    for (const ChunkGrid& part : chunks_[i].grids) {
      const TapGrid& grid = grids_[static_cast<size_t>(part.grid)];
      const int64_t count = chunks_[i].m1 - chunks_[i].m0;
      x_planes = std::max(x_planes, count);
      table_row += static_cast<double>(count * K_) * (1.0 + 0.8 * static_cast<double>(pairs_));
      output_row += static_cast<double>(count) * grid.ny * grid.nx * 0.55;
      for (const Block& block : part.blocks) {
        planes = std::max(planes, block.m1 - block.m0);
        for (const Pass& pass : block.passes) output_row += 1.5 + 0.6 * pass.nx;
      }
    }
  }
  output_row += 4.0 * static_cast<double>(chunk_count_);
  const int64_t tile_bytes = kLanes * (chunk_count_ > 1 ? 6 : 2);
  const int64_t row_bytes = x_planes * pairs_ * kLanes * 4;
  const int64_t room = caches().l2 * 3 / 4 - ring_rows_ * planes * K_ * kLanes * 2;

  const int64_t unit = shape_.pooled() ? 2 : 1;
  // Output blocks build the same tables again, small columns build more halo: what takes the
  // busiest thread least wins.
  double best = std::numeric_limits<double>::infinity();
  int64_t best_outputs = outputs_;
  for (int64_t parts = 1; parts <= outputs_; parts *= 2) {
    const int64_t outputs = std::min(outputs_, ((outputs_ + parts - 1) / parts + 15) / 16 * 16);
    const int64_t most = (room - row_span_ * row_bytes) / (row_bytes + outputs * tile_bytes);
    const int64_t rows = std::max(unit, most / unit * unit);
    const int64_t blocks = (outputs_ + outputs - 1) / outputs;
    const int64_t wanted =
        std::max<int64_t>(1, (threads + shape_.groups * blocks - 1) / (shape_.groups * blocks));
    const ColumnCost cost = {output_row * static_cast<double>(outputs), table_row};
    const std::vector<Column> columns =
        cover(shape_.out_h, shape_.out_w, (lane_span_ + unit - 1) / unit * unit, row_span_, rows,
              wanted, cost, unit);
    const int64_t items = shape_.groups * blocks * static_cast<int64_t>(columns.size());
    double total = 0;
    for (const Column& column : columns) total += cost(column.rows, row_span_);
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
      for (int64_t c = 0; c < outputs_; c += best_outputs) {
        Item item;
        item.group = g;
        item.column = static_cast<int64_t>(i);
        item.c0 = c;
        item.c1 = std::min(outputs_, c + best_outputs);
        items_.push_back(item);
      }
    }
  }

  scales_.assign(chunks_.size(), TableScale());
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
  moments_ =
      pieces.take<float>(static_cast<int64_t>(chunks_.size()) * 2 * shape_.in_h * shape_.in_w);
  const int64_t whole_rows = (most_rows_ + window_ - 1) / window_ * window_;
  const int64_t tile = most_outputs_ * whole_rows * kLanes;
  for (Worker& worker : workers_) {
    worker.tile = pieces.take<int16_t>(tile);
    worker.sums = pieces.take<float>(chunk_count_ > 1 ? tile : 0);
    worker.table = pieces.take<int16_t>(ring_rows_ * most_planes_ * K_ * kLanes);
    worker.x =
        pieces.take<int16_t>(most_x_planes_ * (most_rows_ + row_span_) * pairs_ * 2 * kLanes);
    worker.patches = pieces.take<float>(pointwise_ ? 0 : conv_patches_scratch(shape_));
    worker.scale = pieces.take<float>(most_rows_ * kLanes);
    worker.factor = pieces.take<float>(most_rows_ * kLanes);
  }
  return pieces.bytes();
}

Memory LookupConv::memory() const {
  Memory memory;
  memory.packed = words_.bytes() + codes_.bytes() + (bias_.size() + scale_.size()) * sizeof(float);
  memory.scratch = scratch_;
  return memory;
}

// Moments of rows y0 to y1 - 1.
void LookupConv::measure(const float* image, int64_t y0, int64_t y1) {
  const int64_t size = shape_.in_h * shape_.in_w;
  const int64_t first = y0 * shape_.in_w;
  const int64_t last = std::min(y1 * shape_.in_w, pointwise_ ? positions_ : size);
  if (last <= first) return;
  // Some pixels at a time with all their channels, so that every chunk finds them in the L1 cache.
  const int64_t at_once = std::max<int64_t>(4, 4096 / shape_.in_channels);
  for (int64_t p = first; p < last; p += at_once) {
    const int64_t count = std::min(at_once, last - p);
    const float* pixels = image + p * shape_.in_channels;
    if (p + 2 * count <= last) {
      prefetch<0>(pixels + count * shape_.in_channels, count * shape_.in_channels);
    }
    for (size_t i = 0; i < chunks_.size(); ++i) {
      if (chunks_[i].moments != i) continue;
      const int64_t g = static_cast<int64_t>(i / chunk_count_);
      const int64_t from = chunks_[i].m0 * d_;
      const int64_t width = std::min(chunks_[i].m1 * d_, channels_) - from;
      float* squares = moments_ + static_cast<int64_t>(i) * 2 * size + p;
      ops_.moments(pixels + g * channels_ + from, count, shape_.in_channels, width, squares,
                   squares + size);
    }
  }
}

// Scale of a chunk's tables, from the largest patch of the image.
void LookupConv::choose_scale(size_t index, Worker* worker) {
  const Chunk& part = chunks_[index];
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
  const size_t index = static_cast<size_t>(item.group) * chunk_count_ + i;
  const int64_t lanes = column.rows * kLanes;
  if (!pointwise_) {
    std::fill_n(worker->scale, lanes, scales_[index].input);
    std::fill_n(worker->factor, lanes, scales_[index].factor);
    return;
  }
  const int64_t size = shape_.in_h * shape_.in_w;
  const float* squares = moments_ + static_cast<int64_t>(chunks_[index].moments) * 2 * size;
  const float* sums = squares + size;
  const ChunkBound& weights = chunks_[index].bound;
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
  const Chunk& part = chunk(item.group, i);
  for (const ChunkGrid& chunk_grid : part.grids) {
    const TapGrid& grid = grids_[static_cast<size_t>(chunk_grid.grid)];
    const int64_t rows = column.rows + grid.row_span();
    const int64_t x_plane = pairs_ * 2 * kLanes;
    const int64_t x_row = (part.m1 - part.m0) * x_plane;
    // Where d is even, the pairs of a chunk's channels are those of its subspaces in a row.
    const int64_t at_once = d_ % 2 == 0 ? part.m1 - part.m0 : 1;
    const int64_t first = item.group * channels_ + part.m0 * d_;
    const int64_t count = std::min(channels_, part.m1 * d_) - part.m0 * d_;
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
        const int64_t width = std::min(at_once * d_, channels_ - m * d_);
        int16_t* to = worker->x + row * x_row + (m - part.m0) * x_plane;
        const int64_t written = (width + 1) / 2, expected = at_once * pairs_;
        if (written < expected) {
          std::memset(to + written * 2 * kLanes, 0,
                      static_cast<size_t>((expected - written) * 2 * kLanes * 2));
        }
        ops_.quantize(pixels, item.group * channels_ + m * d_, scale, width, to);
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
  const std::vector<ChunkGrid>& grids = chunk(item.group, i).grids;
  const Pass* first = &grids.front().blocks.front().passes.front();
  const Pass* last = i + 1 < chunk_count_ ? &grids.back().blocks.back().passes.back() : nullptr;
  const int64_t planes = block.m1 - block.m0;
  const int64_t plane = K_ * kLanes;
  const int64_t word_plane = K_ * pairs_ * 2;
  int64_t built = 0;
  for (int64_t row = 0; row < column.rows; row += window_) {
    const int64_t rows = std::min(window_, column.rows - row);
    const int64_t needed = row + rows + grid.row_span();
    int16_t* table[kMaxRingRows];
    for (int64_t r = built; r < needed; ++r) {
      table[r - built] = worker->table + r % ring_rows_ * planes * plane;
    }
    for (int64_t p = 0; p < planes; ++p) {
      const int64_t m = block.m0 + p;
      const int64_t book = codebook_count_ == 1    ? 0
                           : codebook_count_ == M_ ? m
                                                   : item.group * M_ + m;
      ops_.build(words_.data() + book * word_plane, K_, pairs_,
                 x + built * x_row + p * pairs_ * 2 * kLanes, x_row, needed - built, table);
      for (int64_t r = built; r < needed; ++r) table[r - built] += plane;
    }
    built = needed;
    for (int64_t r = row; r < needed; ++r) {
      table[r - row] = worker->table + r % ring_rows_ * planes * plane;
    }
    const int64_t outputs = item.c1 - item.c0;
    const int64_t at = row * outputs * kLanes;
    for (const Pass& pass : block.passes) {
      ConvLookup lookup = lookup_of(grid, block, pass);
      lookup.table = table;
      lookup.codes = codes_.data() + pass.codes + item.c0 * pass.stride;
      lookup.outputs = outputs;
      lookup.rows = static_cast<int>(rows);
      lookup.fresh = &pass == first;
      lookup.tile = worker->tile + at;
      lookup.tile_stride = window_ * kLanes;
      lookup.sums = &pass == last ? worker->sums + at : nullptr;
      lookup.factor = worker->factor + row * kLanes;
      lookup.first = i == 0;
      ops_.add(lookup);
    }
  }
}

void LookupConv::run_item(const Item& item, const float* image, float* result, Worker* worker) {
  const Column& column = columns_[static_cast<size_t>(item.column)];
  for (size_t i = 0; i < chunk_count_; ++i) {
    set_scales(item, i, worker);
    fill_tile(item, i, image, worker);
  }
  ConvFinish finish;
  finish.tile_stride = window_ * kLanes;
  const int64_t c = item.group * outputs_ + item.c0;
  finish.scale = scale_.empty() ? nullptr : scale_.data() + c;
  finish.bias = bias_.empty() ? nullptr : bias_.data() + c;
  finish.outputs = item.c1 - item.c0;
  finish.activation = shape_.activation;
  float* pixels[kLanes];
  finish.pixels = pixels;
  finish.pooled = shape_.pooled();
  const auto tile_row = [&](int64_t row) {
    return (row / window_ * window_ * finish.outputs + row % window_) * kLanes;
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
      finish.sums = chunk_count_ > 1 ? worker->sums + tile_row(row) : nullptr;
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
    constexpr int64_t kRows = 4;
    parallel_for(pool_.get(), threads_, (shape_.in_h + kRows - 1) / kRows, [&](int64_t i, int) {
      measure(image, i * kRows, std::min(shape_.in_h, (i + 1) * kRows));
    });
    const int64_t scales = pointwise_ ? 0 : static_cast<int64_t>(chunks_.size());
    parallel_for(pool_.get(), threads_, scales, [&](int64_t i, int worker) {
      choose_scale(static_cast<size_t>(i), &workers_[static_cast<size_t>(worker)]);
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
