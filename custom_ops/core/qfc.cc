#include "core/qfc.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "core/activation.h"
#include "core/aligned.h"
#include "core/cpu.h"
#include "core/qconv.h"
#include "core/table_scale.h"
#include "core/thread_pool.h"

namespace qcnn {
namespace {

// From so many rows on a layer is a 1x1 convolution, unless its tables are small
// (FcOps::row_entries): the lanes then run over rows, 32 at a time, while those of one row run over
// outputs.
constexpr int64_t kConvRows = 8;

// Where a palette (one codebook of scalars) has more codewords than this, multiplying with the
// words themselves may be faster than lookups, for all that they are twice the size of codes.
constexpr int64_t kPaletteWords = 64;

// Parts of the outputs that a thread takes, where there are several.
constexpr int64_t kPartsOfThread = 4;

// Subspaces that share a scale.
struct Chunk {
  int64_t u0 = 0, u1 = 0;  // units
  int64_t m0 = 0, m1 = 0;  // subspaces
  int64_t tables = 0;      // where its tables begin, in bytes
  ChunkBound bound;
};

// Two subspaces of few codewords are one of more: one lookup then does the work of two.
Codes merge_subspaces(Codes codes, int64_t outputs) {
  while (codes.K * codes.K <= 16 && codes.K > 1 && codes.M > 1) {
    Codes merged;
    merged.M = (codes.M + 1) / 2;
    merged.K = codes.K * codes.K;
    merged.d = codes.d * 2;
    merged.codebook_count = codes.codebook_count == 1 ? 1 : merged.M;
    merged.codebooks.assign(static_cast<size_t>(merged.codebook_count * merged.K * merged.d), 0.0f);
    for (int64_t b = 0; b < merged.codebook_count; ++b) {
      const float* first = codes.codebook(0, 2 * b);
      // The odd subspace at the end has no partner: its second half stays 0.
      const float* second = codes.codebook_count == 1 ? first
                            : 2 * b + 1 < codes.M     ? codes.codebook(0, 2 * b + 1)
                                                      : nullptr;
      for (int64_t k = 0; k < merged.K; ++k) {
        float* to = merged.codebooks.data() + (b * merged.K + k) * merged.d;
        std::copy_n(first + k % codes.K * codes.d, codes.d, to);
        if (second != nullptr) {
          std::copy_n(second + k / codes.K * codes.d, codes.d, to + codes.d);
        }
      }
    }
    merged.codes.resize(static_cast<size_t>(merged.M * outputs));
    for (int64_t m = 0; m < merged.M; ++m) {
      for (int64_t c = 0; c < outputs; ++c) {
        const int64_t low = codes.codes[static_cast<size_t>(2 * m * outputs + c)];
        const int64_t high =
            2 * m + 1 < codes.M ? codes.codes[static_cast<size_t>((2 * m + 1) * outputs + c)] : 0;
        merged.codes[static_cast<size_t>(m * outputs + c)] =
            static_cast<uint8_t>(low + codes.K * high);
      }
    }
    merged.bias = std::move(codes.bias);
    merged.scale = std::move(codes.scale);
    codes = std::move(merged);
  }
  return codes;
}

inline int16_t rounded(float value) {
  return static_cast<int16_t>(static_cast<int32_t>(value + (value < 0 ? -0.5f : 0.5f)));
}

// output[c] = activation(scale[c] * sums[c] + bias[c]) in loops that compilers turn into vectors.
// scale, bias: null when absent.
void finish_outputs(const float* __restrict sums, const float* scale, const float* bias,
                    int64_t count, Activation activation, float* __restrict output) {
  for (int64_t c = 0; c < count; ++c) output[c] = sums[c];
  if (scale != nullptr) {
    for (int64_t c = 0; c < count; ++c) output[c] *= scale[c];
  }
  if (bias != nullptr) {
    for (int64_t c = 0; c < count; ++c) output[c] += bias[c];
  }
  if (activation == Activation::kRelu) {
    for (int64_t c = 0; c < count; ++c) output[c] = output[c] < 0.0f ? 0.0f : output[c];
  } else if (activation != Activation::kNone) {
    for (int64_t c = 0; c < count; ++c) output[c] = activate(output[c], activation);
  }
}

class LookupFc final : public FcLayer {
 public:
  LookupFc(const FcOps& ops, const ConvOps& conv_ops, const FcShape& shape, Codes codes);

  void plan(const FcShape& shape, int threads) override;
  void run(const float* input, float* output, unsigned char* scratch) override;
  Memory memory() const override;

 private:
  void pack();
  void pack_unit(const uint8_t* codes, unsigned char* packed) const;
  Codes unpacked() const;
  size_t place(unsigned char* scratch);
  void build_chunk(size_t i, const float* row);
  void run_blocks(size_t i0, size_t i1, int64_t b0, int64_t b1, float* output);
  int64_t packed_at(const Chunk& chunk, int64_t block) const;
  void make_waves();

  const FcOps& ops_;
  const ConvOps& conv_ops_;
  FcShape shape_;
  Codes constants_;  // without the codes
  bool multiplies_;  // words in place of codes: FcOps::multiply
  int64_t entries_, pairs_, unit_, units_, blocks_;
  int64_t unit_bytes_ = 0;
  std::vector<Chunk> chunks_;
  std::vector<size_t> waves_;    // the first chunk of each, and chunks_.size()
  int64_t table_bytes_ = 0;      // of the largest wave
  AlignedArray<int16_t> words_;  // [codebooks][pairs][entries][2]
  // [blocks][units of the chunk][unit_bytes] of each chunk: in the order in which they are read.
  AlignedArray<unsigned char> packed_;

  // Of the plan.
  int threads_ = 1;
  std::shared_ptr<ThreadPool> pool_;
  std::unique_ptr<ConvLayer> conv_;  // when there are many rows
  std::vector<float> factors_;       // of each chunk
  size_t scratch_ = 0;

  // Of a run, in its scratch.
  int16_t* x_ = nullptr;  // [units * unit][pairs][2]
  // Of a wave, as Chunk::tables says: [units * unit][entries] of int16.
  unsigned char* tables_ = nullptr;
  float* sums_ = nullptr;  // [blocks][kFcBlock]
};

LookupFc::LookupFc(const FcOps& ops, const ConvOps& conv_ops, const FcShape& shape, Codes codes)
    : ops_(ops),
      conv_ops_(conv_ops),
      shape_(shape),
      constants_(merge_subspaces(std::move(codes), shape.out_channels)),
      multiplies_(ops.multiply != nullptr && constants_.d == 1 && constants_.codebook_count == 1 &&
                  constants_.K > kPaletteWords),
      entries_(fc_entries(constants_.K)),
      pairs_((constants_.d + 1) / 2),
      unit_(multiplies_ ? 2 : ops.unit(constants_.K)),
      units_((constants_.M + unit_ - 1) / unit_),
      blocks_((shape.out_channels + kFcBlock - 1) / kFcBlock) {
  assert(constants_.M == (shape.in_channels + constants_.d - 1) / constants_.d);
  unit_bytes_ = multiplies_ ? kFcBlock * 4 : ops_.unit_bytes(constants_.K);
  pack();
  make_waves();
  constants_.codes = std::vector<uint8_t>();
}

void LookupFc::pack() {
  const Codes& codes = constants_;
  const int64_t outputs = shape_.out_channels;
  const int64_t at_once = std::max<int64_t>(
      1, static_cast<int64_t>(kFcChunkWeight / std::sqrt(static_cast<double>(codes.d))) / unit_);
  const int64_t count = (units_ + at_once - 1) / at_once;
  float largest = 0;
  for (float value : codes.codebooks) largest = std::max(largest, std::abs(value));
  std::vector<double> scales(static_cast<size_t>(codes.codebook_count));
  const auto book_of = [&](int64_t m) { return codes.codebook_count == 1 ? 0 : m; };
  for (int64_t i = 0; i < count; ++i) {
    Chunk chunk;
    chunk.u0 = units_ * i / count;
    chunk.u1 = units_ * (i + 1) / count;
    chunk.m0 = chunk.u0 * unit_;
    chunk.m1 = std::min(codes.M, chunk.u1 * unit_);
    float top = largest;
    if (codes.codebook_count > 1) {
      top = 0;
      const auto first = codes.codebooks.begin();
      for (auto value = first + chunk.m0 * codes.K * codes.d;
           value != first + chunk.m1 * codes.K * codes.d; ++value) {
        top = std::max(top, std::abs(*value));
      }
    }
    chunk.bound.word_scale = top > 0 ? std::min(32767 / static_cast<double>(top), 1e30) : 1;
    chunk.bound.lookups = static_cast<double>(chunk.m1 - chunk.m0);
    const int64_t width = std::min(shape_.in_channels, chunk.m1 * codes.d) - chunk.m0 * codes.d;
    chunk.bound.inputs = static_cast<double>(width);
    for (int64_t m = chunk.m0; m < chunk.m1; ++m) {
      scales[static_cast<size_t>(book_of(m))] = chunk.bound.word_scale;
    }
    chunks_.push_back(chunk);
  }

  words_.resize(codes.codebook_count * pairs_ * entries_ * 2);
  std::fill_n(words_.data(), words_.size(), int16_t{0});
  std::vector<double> squares(static_cast<size_t>(codes.codebook_count * codes.K));
  for (int64_t b = 0; b < codes.codebook_count; ++b) {
    for (int64_t k = 0; k < codes.K; ++k) {
      for (int64_t j = 0; j < codes.d; ++j) {
        const double value = static_cast<double>(
            codes.codebooks[static_cast<size_t>((b * codes.K + k) * codes.d + j)]);
        const auto word = static_cast<int16_t>(std::lrint(value * scales[static_cast<size_t>(b)]));
        words_[((b * pairs_ + j / 2) * entries_ + k) * 2 + j % 2] = word;
        squares[static_cast<size_t>(b * codes.K + k)] += static_cast<double>(word) * word;
      }
    }
  }

  packed_.resize(blocks_ * units_ * unit_bytes_);
  std::vector<uint8_t> unit(static_cast<size_t>(unit_ * kFcBlock));
  for (const Chunk& chunk : chunks_) {
    for (int64_t block = 0; block < blocks_; ++block) {
      const int64_t c0 = block * kFcBlock, c1 = std::min(outputs, c0 + kFcBlock);
      for (int64_t u = chunk.u0; u < chunk.u1; ++u) {
        std::fill(unit.begin(), unit.end(), uint8_t{0});
        for (int64_t j = 0; j < unit_ && u * unit_ + j < codes.M; ++j) {
          const uint8_t* from = codes.codes.data() + (u * unit_ + j) * outputs;
          std::copy(from + c0, from + c1, unit.begin() + j * kFcBlock);
        }
        pack_unit(unit.data(),
                  packed_.data() + packed_at(chunk, block) + (u - chunk.u0) * unit_bytes_);
      }
    }
  }

  std::vector<double> norms(static_cast<size_t>(outputs));
  for (Chunk& chunk : chunks_) {
    std::fill(norms.begin(), norms.end(), 0.0);
    for (int64_t m = chunk.m0; m < chunk.m1; ++m) {
      const double* of_book = squares.data() + book_of(m) * codes.K;
      const uint8_t* from = codes.codes.data() + m * outputs;
      for (int64_t c = 0; c < outputs; ++c) norms[static_cast<size_t>(c)] += of_book[from[c]];
    }
    chunk.bound.norm = std::sqrt(*std::max_element(norms.begin(), norms.end()));
  }
}

// codes: [unit][kFcBlock].
void LookupFc::pack_unit(const uint8_t* codes, unsigned char* packed) const {
  if (!multiplies_) return ops_.pack(constants_.K, codes, packed);
  int16_t* words = reinterpret_cast<int16_t*>(packed);
  for (int64_t c = 0; c < kFcBlock; ++c) {
    for (int64_t j = 0; j < 2; ++j) words[2 * c + j] = words_[2 * codes[j * kFcBlock + c]];
  }
}

Codes LookupFc::unpacked() const {
  Codes codes = constants_;
  const int64_t outputs = shape_.out_channels;
  codes.codes.resize(static_cast<size_t>(codes.M * outputs));
  std::vector<uint8_t> unit(static_cast<size_t>(unit_ * kFcBlock));
  // Codewords that are the same in int16 are as good as each other.
  std::vector<uint8_t> code_of(multiplies_ ? 65536 : 0);
  for (int64_t k = 0; multiplies_ && k < codes.K; ++k) {
    code_of[static_cast<uint16_t>(words_[2 * k])] = static_cast<uint8_t>(k);
  }
  for (const Chunk& chunk : chunks_) {
    for (int64_t block = 0; block < blocks_; ++block) {
      const int64_t c0 = block * kFcBlock, c1 = std::min(outputs, c0 + kFcBlock);
      for (int64_t u = chunk.u0; u < chunk.u1; ++u) {
        const unsigned char* from =
            packed_.data() + packed_at(chunk, block) + (u - chunk.u0) * unit_bytes_;
        if (multiplies_) {
          const uint16_t* words = reinterpret_cast<const uint16_t*>(from);
          for (int64_t i = 0; i < 2 * kFcBlock; ++i) {
            unit[static_cast<size_t>(i % 2 * kFcBlock + i / 2)] = code_of[words[i]];
          }
        } else {
          ops_.unpack(codes.K, from, unit.data());
        }
        for (int64_t j = 0; j < unit_ && u * unit_ + j < codes.M; ++j) {
          std::copy_n(unit.begin() + j * kFcBlock, c1 - c0,
                      codes.codes.begin() + (u * unit_ + j) * outputs + c0);
        }
      }
    }
  }
  return codes;
}

void LookupFc::plan(const FcShape& shape, int threads) {
  shape_ = shape;
  threads_ = std::max(threads, 1);
  if (shape.rows >= kConvRows && entries_ > ops_.row_entries) {
    ConvShape conv;
    conv.batch = conv.in_h = conv.out_h = 1;
    conv.in_w = conv.out_w = shape.rows;
    conv.in_channels = shape.in_channels;
    conv.out_channels = shape.out_channels;
    conv.activation = shape.activation;
    if (conv_ == nullptr) conv_ = make_conv(conv_ops_, conv, unpacked());
    conv_->plan(conv, threads_);
    return;
  }
  conv_.reset();
  pool_ = ThreadPool::get(threads_);
  factors_.assign(chunks_.size(), 0);
  scratch_ = place(nullptr);
}

// Divides the scratch and returns its size; null to learn that.
size_t LookupFc::place(unsigned char* scratch) {
  AlignedPieces pieces(scratch);
  x_ = pieces.take<int16_t>(units_ * unit_ * pairs_ * 2);
  tables_ = pieces.take<unsigned char>(table_bytes_);
  sums_ = pieces.take<float>(blocks_ * kFcBlock);
  return pieces.bytes();
}

Memory LookupFc::memory() const {
  Memory memory;
  memory.packed = words_.bytes() + packed_.bytes() + constants_.bytes();
  if (conv_ != nullptr) {
    memory.packed += conv_->memory().packed;
    memory.scratch = conv_->memory().scratch;
  } else {
    memory.scratch = scratch_;
  }
  return memory;
}

// Tables of one chunk for one row of the input.
void LookupFc::build_chunk(size_t i, const float* row) {
  const Chunk& chunk = chunks_[i];
  const int64_t d = constants_.d;
  const int64_t first = chunk.m0 * d;
  const int64_t width = std::min(shape_.in_channels, chunk.m1 * d) - first;
  InputBound bound;
  bound.squares = static_cast<double>(ops_.energy(row + first, width));
  const TableScale scale = table_scale(bound, chunk.bound);
  factors_[i] = scale.factor;
  // FcOps::multiply wants the values of two subspaces side by side.
  const int64_t x_step = multiplies_ ? 1 : pairs_ * 2;
  int16_t* x = x_ + chunk.m0 * x_step;
  const float* from = row + first;
  // Where the factor is NaN the values do not matter, but converting NaN would be undefined.
  if (std::isnan(scale.factor)) {
    std::fill_n(x, (chunk.m1 - chunk.m0) * x_step, int16_t{0});
  } else if (d == x_step) {
    for (int64_t j = 0; j < width; ++j) x[j] = rounded(from[j] * scale.input);
  } else {
    // No division for every value: those were 8 of the 128 us of AlexNet's fc8 (d=1).
    for (int64_t j = 0; j < d; ++j) {
      const int64_t subspaces = (width - j + d - 1) / d;
      for (int64_t m = 0; m < subspaces; ++m) {
        x[m * x_step + j] = rounded(from[m * d + j] * scale.input);
      }
    }
  }
  if (multiplies_) return;
  FcBuild build;
  const int64_t book = pairs_ * entries_ * 2;
  build.words_stride = constants_.codebook_count == 1 ? 0 : book;
  build.words = words_.data() + chunk.m0 * build.words_stride;
  build.entries = entries_;
  build.pairs = pairs_;
  build.x = x;
  build.subspaces = chunk.m1 - chunk.m0;
  build.table = tables_ + chunk.tables;
  ops_.build(build);
  // The subspaces that pad the last unit.
  const int64_t padding = (chunk.u1 * unit_ - chunk.m1) * entries_ * 2;
  std::memset(build.table + build.subspaces * entries_ * 2, 0, static_cast<size_t>(padding));
}

// Where in packed_ the codes of a chunk for a block of outputs begin.
int64_t LookupFc::packed_at(const Chunk& chunk, int64_t block) const {
  return (chunk.u0 * blocks_ + block * (chunk.u1 - chunk.u0)) * unit_bytes_;
}

// Waves of chunks whose tables are in the L2 cache together.
void LookupFc::make_waves() {
  const int64_t room = caches().l2 / 2;
  int64_t used = 0;
  for (size_t i = 0; i < chunks_.size(); ++i) {
    Chunk& chunk = chunks_[i];
    const int64_t bytes = multiplies_ ? 0 : (chunk.u1 - chunk.u0) * unit_ * entries_ * 2;
    if (i == 0 || used + bytes > room) {
      waves_.push_back(i);
      used = 0;
    }
    chunk.tables = used;
    used += bytes;
    table_bytes_ = std::max(table_bytes_, used);
  }
  waves_.push_back(chunks_.size());
}

// Lookups of chunks i0 to i1 - 1 for the outputs of blocks b0 to b1 - 1, one chunk after the other:
// its tables stay in the cache.
void LookupFc::run_blocks(size_t i0, size_t i1, int64_t b0, int64_t b1, float* output) {
  for (size_t i = i0; i < i1; ++i) {
    const Chunk& chunk = chunks_[i];
    const int64_t units = chunk.u1 - chunk.u0;
    for (int64_t block = b0; block < b1; ++block) {
      const unsigned char* from = packed_.data() + packed_at(chunk, block);
      float* sums = sums_ + block * kFcBlock;
      if (multiplies_) {
        // The factor is that of sums without their lower 16 bits.
        ops_.multiply(reinterpret_cast<const int16_t*>(from), units, x_ + chunk.m0,
                      factors_[i] / 65536, i == 0, sums);
      } else {
        ops_.add(constants_.K, from, units, tables_ + chunk.tables, factors_[i], i == 0, sums);
      }
    }
  }
  if (i1 < chunks_.size()) return;
  const int64_t c0 = b0 * kFcBlock, c1 = std::min(shape_.out_channels, b1 * kFcBlock);
  finish_outputs(sums_ + c0, constants_.scale.empty() ? nullptr : constants_.scale.data() + c0,
                 constants_.bias.empty() ? nullptr : constants_.bias.data() + c0, c1 - c0,
                 shape_.activation, output + c0);
}

void LookupFc::run(const float* input, float* output, unsigned char* scratch) {
  assert(input != nullptr && output != nullptr && scratch != nullptr);
  if (conv_ != nullptr) {
    conv_->run(input, output, scratch);
    return;
  }
  place(scratch);
  // What is written below leaves out the values that pad a subspace and, where words are
  // multiplied, those of the subspace that pads the last unit.
  std::memset(x_, 0, static_cast<size_t>(units_ * unit_ * pairs_ * 2) * sizeof(int16_t));
  // Parts for every thread, so that a slow one does not keep the others waiting for long.
  const int64_t parts = threads_ == 1 ? 1 : std::min<int64_t>(blocks_, kPartsOfThread * threads_);
  for (int64_t r = 0; r < shape_.rows; ++r) {
    const float* row = input + r * shape_.in_channels;
    float* result = output + r * shape_.out_channels;
    for (size_t w = 0; w + 1 < waves_.size(); ++w) {
      const size_t i0 = waves_[w], i1 = waves_[w + 1];
      parallel_for(pool_.get(), threads_, static_cast<int64_t>(i1 - i0),
                   [&](int64_t i, int) { build_chunk(i0 + static_cast<size_t>(i), row); });
      parallel_for(pool_.get(), threads_, parts, [&](int64_t i, int) {
        run_blocks(i0, i1, blocks_ * i / parts, blocks_ * (i + 1) / parts, result);
      });
    }
  }
}

}  // namespace

std::unique_ptr<FcLayer> make_fc(const FcOps& ops, const ConvOps& conv_ops, const FcShape& shape,
                                 Codes codes) {
  return std::make_unique<LookupFc>(ops, conv_ops, shape, std::move(codes));
}

}  // namespace qcnn
