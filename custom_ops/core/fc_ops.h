// What an instruction set must be able to do for the fast fully-connected layer of one row (qfc.h).
// The rules of conv_ops.h for files with flags of their own hold here, too.
#ifndef QCNN_CORE_FC_OPS_H_
#define QCNN_CORE_FC_OPS_H_

#include <cstdint>

namespace qcnn {

// Outputs are handled in blocks of this many.
inline constexpr int64_t kFcBlock = 256;

// Entries that a table has room for: K rounded up to 16, 32, 64, 128 or 256.
inline int64_t fc_entries(int64_t K) {
  int64_t entries = 16;
  while (entries < K) entries *= 2;
  return entries;
}

// One codebook and input for a table, or rather a run of them.
struct FcBuild {
  const int16_t* words;  // [subspaces][pairs][entries][2]
  int64_t words_stride;  // int16 from subspace to subspace; 0 for a shared codebook
  int64_t entries;       // fc_entries(K)
  int64_t pairs;
  const int16_t* x;  // [subspaces][pairs][2]
  int64_t subspaces;
  unsigned char* table;  // [subspaces][entries] of int16, in the order that `add` wants
};

struct FcOps {
  // Many rows are faster one after another than as a 1x1 convolution up to so many entries of a
  // table.
  int64_t row_entries;

  // Subspaces whose codes are packed together, by K: M is padded to a multiple of it with subspaces
  // whose codes and tables are 0.
  int64_t (*unit)(int64_t K);

  // Bytes of the packed codes of one unit and one block of outputs, by K; a multiple of 64.
  int64_t (*unit_bytes)(int64_t K);

  // Packs the codes of one unit and block. codes: [unit][kFcBlock].
  void (*pack)(int64_t K, const uint8_t* codes, unsigned char* packed);

  // What pack() did, undone.
  void (*unpack)(int64_t K, const unsigned char* packed, uint8_t* codes);

  // table[m][k] = (0x8000 + sum of words[m][j][k] * x[m][j] over pairs and their two values) >> 16,
  // modulo 2^32 and 2^16.
  void (*build)(const FcBuild& build);

  // sums[c] = (first ? 0 : sums[c]) + factor * (sum of table[m][code of c in m] over the subspaces
  // of `units` units, modulo 2^16 and as a signed number). packed: [units][unit_bytes]; table: of
  // the first unit's first subspace on; sums: [kFcBlock].
  void (*add)(int64_t K, const unsigned char* packed, int64_t units, const unsigned char* table,
              float factor, bool first, float* sums);

  // sum of squares of x[0] to x[count - 1].
  float (*energy)(const float* x, int64_t count);

  // sums[c] = (first ? 0 : sums[c]) + factor * (sum of words[u][c][j] * x[u][j] over 0 <= u < units
  // and j < 2, modulo 2^32 and as a signed number). words: [units][kFcBlock][2], aligned to 64
  // bytes; x: [units][2]; sums: [kFcBlock].
  //
  // Null where lookups of any K are faster than as many multiplications.
  void (*multiply)(const int16_t* words, int64_t units, const int16_t* x, float factor, bool first,
                   float* sums) = nullptr;
};

// Null where the build lacks the instruction set.
const FcOps* fc_ops_avx2();
const FcOps* fc_ops_avx512();
const FcOps* fc_ops_avx512_vnni();
const FcOps* fc_ops_neon();

}  // namespace qcnn

#endif  // QCNN_CORE_FC_OPS_H_
