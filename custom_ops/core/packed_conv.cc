#include "core/packed_conv.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/cpu.h"

namespace qcnn {
namespace {

// Positions of the largest kernel that is not yet a large one: see kLargeKernelChunkWeight.
constexpr int64_t kSmallKernel = 9;

}  // namespace

PackedConv::PackedConv(const ConvOps& ops, const ConvShape& shape, const Codes& from)
    : M(from.M),
      K(from.K),
      d(from.d),
      pairs((from.d + 1) / 2),
      channels(shape.in_channels / shape.groups),
      outputs(shape.out_channels / shape.groups),
      codebook_count(from.codebook_count),
      grids(tap_grids(shape)) {
  assert(M == (channels + d - 1) / d);
  for (const TapGrid& grid : grids) {
    lane_span = std::max(lane_span, grid.lane_span());
    row_span = std::max(row_span, grid.row_span());
  }
  make_chunks(ops, shape);
  pack_words(shape, from);
  place_codes(ops);
  pack_codes(ops, shape, from);
}

void PackedConv::make_chunks(const ConvOps& ops, const ConvShape& shape) {
  const int64_t taps = shape.kernel_h * shape.kernel_w;
  const double weight = taps > kSmallKernel ? kLargeKernelChunkWeight
                        : taps > 1          ? kConvChunkWeight
                                            : kPointwiseChunkWeight;
  const double limit = weight / std::sqrt(static_cast<double>(d));
  // Grids of the same kernel rows follow each other.
  size_t beside = 1;
  while (beside < grids.size() && grids[beside].first_ky == grids[0].first_ky) ++beside;
  // The table rows of a window should stay in the L1 cache beside what streams through it; more
  // than one subspace at a time only where they take half of it (measured on Zen 5).
  const int64_t row_bytes = K * kLanes * 2;
  for (const TapGrid& grid : grids) {
    const int most = std::min(ops.window(std::min(grid.nx, kMaxTaps)),
                              K > kNarrowK ? kMaxWideWindow : kMaxWindow);
    window = std::min(window, std::clamp<int64_t>(caches().l1 * 2 / 3 / row_bytes - grid.row_span(),
                                                  std::min(most, 2), most));
  }
  ring_rows = window + row_span;
  std::vector<Chunk> of_group;
  const auto add = [&](int64_t m0, int64_t m1, size_t first, size_t last) {
    Chunk chunk;
    chunk.m0 = m0;
    chunk.m1 = m1;
    for (size_t i = first; i < last; ++i) {
      const TapGrid& grid = grids[i];
      chunk.bound.lookups += static_cast<double>(m1 - m0) * grid.ny * grid.nx;
      ChunkGrid part;
      part.grid = static_cast<int>(i);
      const int64_t fit =
          std::max<int64_t>(1, caches().l1 / 2 / (row_bytes * (window + grid.row_span())));
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
      for (int y = 0; y < grids[i].ny; ++y) {
        chunk.kernel_rows.push_back(grids[i].first_ky + y * grids[i].ky_step);
      }
    }
    const int64_t width = std::min(m1 * d, channels) - m0 * d;
    chunk.bound.inputs =
        static_cast<double>(width * shape.kernel_w) * static_cast<double>(chunk.kernel_rows.size());
    chunk.bound.whole = true;
    of_group.push_back(chunk);
  };
  const int64_t at_once = static_cast<int64_t>(limit / static_cast<double>(taps));
  if (at_once >= 1) {
    // Equal chunks: the last one would otherwise be small and still cost a pass over the sums.
    const int64_t count = (M + at_once - 1) / at_once;
    for (int64_t i = 0; i < count; ++i) {
      add(M * i / count, M * (i + 1) / count, 0, grids.size());
    }
  } else {
    // Chunks of whole kernel rows.
    for (int64_t m = 0; m < M; ++m) {
      size_t first = 0;
      double sum = 0;
      for (size_t i = 0; i < grids.size(); i += beside) {
        const double more = static_cast<double>(grids[i].ny * shape.kernel_w);
        if (i > first && sum + more > limit) {
          add(m, m + 1, first, i);
          first = i;
          sum = 0;
        }
        sum += more;
      }
      add(m, m + 1, first, grids.size());
    }
  }
  chunk_count = of_group.size();
  for (int64_t g = 0; g < shape.groups; ++g) {
    for (Chunk& chunk : of_group) {
      const size_t index = chunks.size();
      const bool first = index % chunk_count == 0 || chunks.back().m0 != chunk.m0;
      chunk.moments = first ? index : chunks.back().moments;
      chunks.push_back(chunk);
    }
  }
}

void PackedConv::pack_words(const ConvShape& shape, const Codes& from) {
  const int64_t word = 2 * pairs;
  words.resize(codebook_count * K * word);
  std::fill_n(words.data(), words.size(), int16_t{0});
  std::vector<double> scales(static_cast<size_t>(codebook_count), 0);
  const auto largest = [&](int64_t b) {
    float most = 0;
    const float* values = from.codebooks.data() + b * K * d;
    for (int64_t i = 0; i < K * d; ++i) most = std::max(most, std::abs(values[i]));
    return static_cast<double>(most);
  };
  // One scale for the codebooks of a chunk, in all groups that share them.
  std::vector<double> most(static_cast<size_t>(codebook_count));
  for (int64_t b = 0; b < codebook_count; ++b) most[static_cast<size_t>(b)] = largest(b);
  for (size_t i = 0; i < chunks.size(); ++i) {
    double top = 0;
    for (int64_t g = 0; g < shape.groups; ++g) {
      for (int64_t m = chunks[i].m0; m < chunks[i].m1; ++m) {
        top = std::max(top, most[static_cast<size_t>(codebook(g, m))]);
      }
    }
    // A scale beyond float would make its inverse no number.
    chunks[i].bound.word_scale = top > 0 ? std::min(32767 / top, 1e30) : 1;
    for (int64_t g = 0; g < shape.groups; ++g) {
      for (int64_t m = chunks[i].m0; m < chunks[i].m1; ++m) {
        scales[static_cast<size_t>(codebook(g, m))] = chunks[i].bound.word_scale;
      }
    }
  }
  for (int64_t b = 0; b < codebook_count; ++b) {
    for (int64_t k = 0; k < K; ++k) {
      for (int64_t j = 0; j < d; ++j) {
        const double value = static_cast<double>(from.codebooks[(b * K + k) * d + j]);
        words[(b * K + k) * word + j] =
            static_cast<int16_t>(std::lrint(value * scales[static_cast<size_t>(b)]));
      }
    }
  }
}

ConvLookup PackedConv::lookup(const TapGrid& grid, const Block& block, const Pass& pass) const {
  ConvLookup l = {};
  l.plane_stride = K * kLanes;
  l.row_step = grid.row_step;
  l.K = K;
  l.planes = static_cast<int>(block.m1 - block.m0);
  l.ny = grid.ny;
  l.nx = pass.nx;
  l.first_lane = static_cast<int>(pass.first * grid.lane_step);
  l.lane_step = static_cast<int>(grid.lane_step);
  return l;
}

// Where the codes of each pass begin.
void PackedConv::place_codes(const ConvOps& ops) {
  int64_t size = 0;
  for (Chunk& chunk : chunks) {
    for (ChunkGrid& part : chunk.grids) {
      const TapGrid& grid = grids[static_cast<size_t>(part.grid)];
      for (Block& block : part.blocks) {
        for (Pass& pass : block.passes) {
          pass.stride = ops.pack(lookup(grid, block, pass), nullptr, nullptr);
          pass.codes = size;
          size += (outputs * pass.stride + 3) / 4 * 4;
        }
      }
    }
  }
  codes.resize(size);
}

// Packs the codes and sets what they fix of each chunk's bound.
void PackedConv::pack_codes(const ConvOps& ops, const ConvShape& shape, const Codes& from) {
  const int64_t kernel_taps = shape.kernel_h * shape.kernel_w;
  // Sums of squares, of positive values' squares, and sums of the int16 codewords, in the last
  // subspace of the channels that exist.
  std::vector<double> squares(static_cast<size_t>(2 * codebook_count * K)),
      positive_squares(squares.size()), sums(squares.size());
  const int64_t last_width = channels - (M - 1) * d;
  for (int64_t i = 0; i < codebook_count * K; ++i) {
    const int16_t* word = words.data() + i * 2 * pairs;
    for (int64_t j = 0; j < d; ++j) {
      const double value = static_cast<double>(word[j]);
      for (int64_t part = 0; part < (j < last_width ? 2 : 1); ++part) {
        squares[static_cast<size_t>(2 * i + part)] += value * value;
        if (value > 0) positive_squares[static_cast<size_t>(2 * i + part)] += value * value;
        sums[static_cast<size_t>(2 * i + part)] += value;
      }
    }
  }
  std::vector<double> norms(static_cast<size_t>(outputs)), positive_norms(norms.size()),
      totals(norms.size());
  std::vector<int64_t> taps;       // of a pass, [ny][nx]: their places in the kernel
  std::vector<uint8_t> of_output;  // the codes of one output in one pass, [planes][ny][nx]
  for (size_t i = 0; i < chunks.size(); ++i) {
    const int64_t g = static_cast<int64_t>(i / chunk_count);
    std::fill(norms.begin(), norms.end(), 0.0);
    std::fill(positive_norms.begin(), positive_norms.end(), 0.0);
    std::fill(totals.begin(), totals.end(), 0.0);
    for (const ChunkGrid& part : chunks[i].grids) {
      const TapGrid& grid = grids[static_cast<size_t>(part.grid)];
      for (const Block& block : part.blocks) {
        for (const Pass& pass : block.passes) {
          const ConvLookup of_pass = lookup(grid, block, pass);
          taps.clear();
          for (int64_t y = 0; y < grid.ny; ++y) {
            for (int64_t x = pass.first; x < pass.first + pass.nx; ++x) {
              taps.push_back((grid.first_ky + y * grid.ky_step) * shape.kernel_w + grid.first_kx +
                             x * grid.kx_step);
            }
          }
          for (int64_t c = 0; c < outputs; ++c) {
            of_output.clear();
            for (int64_t m = block.m0; m < block.m1; ++m) {
              const uint8_t* kernel =
                  from.codes.data() + (m * shape.out_channels + g * outputs + c) * kernel_taps;
              const int64_t book = codebook(g, m) * K;
              for (const int64_t tap : taps) {
                const auto word =
                    static_cast<size_t>(2 * (book + kernel[tap]) + (m == M - 1 ? 1 : 0));
                norms[static_cast<size_t>(c)] += squares[word];
                positive_norms[static_cast<size_t>(c)] += positive_squares[word];
                totals[static_cast<size_t>(c)] += sums[word];
                of_output.push_back(kernel[tap]);
              }
            }
            ops.pack(of_pass, of_output.data(), codes.data() + pass.codes + c * pass.stride);
          }
        }
      }
    }
    ChunkBound& bound = chunks[i].bound;
    for (size_t c = 0; c < norms.size(); ++c) {
      bound.norm = std::max(bound.norm, std::sqrt(norms[c]));
      bound.signed_norm = std::max({bound.signed_norm, std::sqrt(positive_norms[c]),
                                    std::sqrt(std::max(norms[c] - positive_norms[c], 0.0))});
      const double flat = norms[c] - totals[c] * totals[c] / bound.inputs;
      bound.flat_norm = std::max(bound.flat_norm, std::sqrt(std::max(flat, 0.0)));
      bound.mean = std::max(bound.mean, std::abs(totals[c]) / bound.inputs);
    }
  }
}

}  // namespace qcnn
