// The scale of lookup tables in int16, by the inequality of Cauchy and Schwarz.
#ifndef QCNN_CORE_TABLE_SCALE_H_
#define QCNN_CORE_TABLE_SCALE_H_

#include <algorithm>
#include <cmath>
#include <limits>

namespace qcnn {

// A chunk's lookups times the root of d: the rounding of its table entries, relative to its
// response, grows in proportion.
inline constexpr double kConvChunkWeight = 135;
// Of kernels larger than 3x3, which stand where networks begin and positions differ most in power:
// AlexNet's conv1 alone is 0.46 % off its reference with 115, 0.25 % with this, for 1 % of the
// network's time.
inline constexpr double kLargeKernelChunkWeight = 85;
// Of 1x1 convolutions, whose positions differ more in power: the last one of MobileNet-v1 is 0.50 %
// off its reference with 115, 0.37 % with this, for 2 to 5 % of the time.
inline constexpr double kPointwiseChunkWeight = 58;
inline constexpr double kFcChunkWeight = 210;

// What the int16 codewords and codes of a chunk of subspaces fix. An output's weights are split
// into their mean and the rest: natural images are mostly mean, and filters mostly the rest.
struct ChunkBound {
  double word_scale = 1;   // what codewords were multiplied by on the way to int16
  double norm = 0;         // largest norm of an output's int16 weights
  double signed_norm = 0;  // largest norm of an output's positive, or negative, int16 weights
  double flat_norm = 0;    // the same less the mean of the output's weights
  double mean = 0;         // largest absolute mean of an output's int16 weights
  double inputs = 0;       // of an output
  double lookups = 0;      // of an output
  // InputBound is about these inputs exactly, and signed_norm, flat_norm and mean are set.
  bool whole = false;
};

// Largest over some outputs of what is known of the inputs x of an output.
struct InputBound {
  double squares = 0;     // sum of x^2
  double flat = 0;        // sum of x^2 less (sum of x)^2 / inputs
  double sum = 0;         // absolute sum of x
  bool positive = false;  // no x is negative
};

// input: what inputs are multiplied by on the way to int16; factor: what sums of table entries are
// multiplied by on the way back.
struct TableScale {
  float input = 0, factor = 0;
};

// By the inequality of Cauchy and Schwarz the response <w, x> of an output is at most
//   norm * sqrt(squares), and at most flat_norm * sqrt(flat) + mean * sum;
// where no x is negative, as behind a ReLU, only weights of one sign add up, and it is at most
//   signed_norm * sqrt(squares), for conv3 to conv5 of AlexNet 13 to 17 % less than the others.
//   (For conv2, 4 %; conv1 has negative inputs.)
// Entries are (codeword * input + 2^15) / 2^16 in int16 and inputs are rounded, so
//   |sum of entries| <= (response * input + norm * sqrt(inputs) / 2) / 2^16 + lookups / 2,
// and the scale is the largest with which that is at most 32767. Inputs that are NaN or infinite
// make the factor NaN.
inline TableScale table_scale(const InputBound& x, const ChunkBound& w) {
  TableScale scale;
  if (!std::isfinite(x.squares) || !std::isfinite(x.sum)) {
    scale.factor = std::numeric_limits<float>::quiet_NaN();
    return scale;
  }
  if (!(x.squares > 0) || !(w.norm > 0)) return scale;
  // Squares were summed up in float32, which may have lost what is below its normal numbers.
  const double squares =
      x.squares + w.inputs * static_cast<double>(std::numeric_limits<float>::min());
  double response = w.norm * std::sqrt(squares);
  if (w.whole) {
    // flat is a difference of sums in float32, which may have cancelled out.
    const double flat = std::max(x.flat, 0.0) + 1e-5 * squares;
    response = std::min(response, w.flat_norm * std::sqrt(flat) + w.mean * x.sum);
    if (x.positive) response = std::min(response, w.signed_norm * std::sqrt(squares));
  }
  const double rounding = 0.5 * w.norm * std::sqrt(w.inputs);
  const double room = (32766 - 0.5 * w.lookups) * 65536 - rounding;
  const double chosen = std::min(room / response, 32766 / std::sqrt(squares)) / 1.0001;
  if (!(chosen > 0) || chosen > 1e30) return scale;  // inputs too small to matter
  scale.input = static_cast<float>(chosen);
  scale.factor = static_cast<float>(65536 / (w.word_scale * static_cast<double>(scale.input)));
  return scale;
}

}  // namespace qcnn

#endif  // QCNN_CORE_TABLE_SCALE_H_
