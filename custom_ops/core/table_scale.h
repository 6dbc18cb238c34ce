// The scale of lookup tables in int16, by the inequality of Cauchy and Schwarz.
#ifndef QCNN_CORE_TABLE_SCALE_H_
#define QCNN_CORE_TABLE_SCALE_H_

#include <algorithm>
#include <cmath>
#include <limits>

namespace qcnn {

// A chunk's lookups times the root of d: the rounding of its table entries, relative to its
// response, grows in proportion (0.2 % at this figure on random data).
inline constexpr double kChunkWeight = 210;

// What the int16 codewords and codes of a chunk of subspaces fix.
struct ChunkBound {
  double word_scale = 1;  // what codewords were multiplied by on the way to int16
  double norm = 0;        // largest norm of an output's int16 weights
  double half_patch = 0;  // half the root of the number of inputs of an output
  double lookups = 0;     // of an output
};

// input: what inputs are multiplied by on the way to int16; factor: what sums of table entries are
// multiplied by on the way back. `energy` is the largest sum of squares of an output's inputs.
//
// Entries are (codeword * input + 2^15) / 2^16 in int16, so
//   |sum| <= norm * (input * sqrt(energy) + half_patch) / 2^16 + lookups / 2,
// and the scale is the largest with which that is at most 32767. Energies that are NaN or infinite
// make the factor NaN.
struct TableScale {
  float input = 0, factor = 0;
};

inline TableScale table_scale(double energy, const ChunkBound& bound) {
  TableScale scale;
  if (!std::isfinite(energy)) {
    scale.factor = std::numeric_limits<float>::quiet_NaN();
    return scale;
  }
  if (!(energy > 0) || !(bound.norm > 0)) return scale;
  // The energy was summed up in float32.
  const double patch = std::sqrt(energy) * 1.0001;
  const double room = (32766 - 0.5 * bound.lookups) * 65536 / bound.norm - bound.half_patch;
  const double chosen = std::min(room, 32766.0) / patch;
  if (!(chosen > 0) || chosen > 1e30) return scale;  // inputs too small to matter
  scale.input = static_cast<float>(chosen);
  scale.factor = static_cast<float>(65536 / (bound.word_scale * static_cast<double>(scale.input)));
  return scale;
}

}  // namespace qcnn

#endif  // QCNN_CORE_TABLE_SCALE_H_
