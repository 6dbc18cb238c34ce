// The constants of a convolution as the fast kernels read them: subspaces in chunks that share a
// scale, codewords in int16, codes in the order of the lookups.
#ifndef QCNN_CORE_PACKED_CONV_H_
#define QCNN_CORE_PACKED_CONV_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/aligned.h"
#include "core/conv_geometry.h"
#include "core/conv_ops.h"
#include "core/layer.h"
#include "core/table_scale.h"

namespace qcnn {

// A run of kernel columns of a grid, as one call of ConvOps::add takes it.
struct Pass {
  int first = 0, nx = 0;
  int64_t codes = 0;   // where they begin in PackedConv::codes: [C_out / groups][stride]
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

class PackedConv {
 public:
  // shape: of any image size. Throws std::bad_alloc.
  PackedConv(const ConvOps& ops, const ConvShape& shape, const Codes& from);

  const Chunk& chunk(int64_t group, size_t i) const {
    return chunks[static_cast<size_t>(group) * chunk_count + i];
  }

  // Index of the codebook of subspace m in a group.
  int64_t codebook(int64_t group, int64_t m) const {
    return codebook_count == 1 ? 0 : codebook_count == M ? m : group * M + m;
  }

  // What does not change from window to window.
  ConvLookup lookup(const TapGrid& grid, const Block& block, const Pass& pass) const;

  size_t bytes() const { return words.bytes() + codes.bytes(); }

  int64_t M, K, d, pairs;     // pairs of channels in a codeword, the last one may be half
  int64_t channels, outputs;  // of a group
  int64_t codebook_count;
  std::vector<TapGrid> grids;
  int64_t lane_span = 0, row_span = 0;  // the largest of the grids
  int64_t window = kMaxWindow;          // output rows at a time
  int64_t ring_rows = 0;                // table rows that a window reads
  size_t chunk_count = 0;
  std::vector<Chunk> chunks;     // [groups][chunk_count]
  AlignedArray<int16_t> words;   // [codebooks][K][pairs][2]
  AlignedArray<uint16_t> codes;  // as Pass::codes says

 private:
  void make_chunks(const ConvOps& ops, const ConvShape& shape);
  void pack_words(const ConvShape& shape, const Codes& from);
  void place_codes(const ConvOps& ops);
  void pack_codes(const ConvOps& ops, const ConvShape& shape, const Codes& from);
};

}  // namespace qcnn

#endif  // QCNN_CORE_PACKED_CONV_H_
