// The algorithm of the vector LRN kernels. Included by one file an instruction set, which first
// defines `Vec` (lrn_avx512.cc is the shortest):
//   kLanes; the vector types F (float) and I (int32), and M, what a comparison gives
//   load, store; load_part(p, begin, end): lanes begin to end - 1 of p, the others 0, and nothing
//   else is read; store_part(p, count, x)
//   add, sub, mul, fma(a, b, c) = a * b + c, rsqrt (error below 1e-6, for s inside kLow to kHigh)
//   max(a, b), NaN where either is
//   shift<k>(a, b): lanes k to k + kLanes - 1 of a and b, k being 1, 2, kLanes - 2 or kLanes - 1
//   within(x, low, high), false for NaN; both(M, M); bits(M), one a lane, all ones being kAll
//   as_int, as_float, add_int, sub_int, shift_left_23, shift_right_23 (arithmetic), to_float
//
// Everything here has internal linkage and nothing of the standard library is instantiated: a
// linker might hand this file's copy of an inline function to code that runs on every CPU.
#ifndef QCNN_CORE_LRN_INL_H_
#define QCNN_CORE_LRN_INL_H_

#include <math.h>

#include "core/lrn.h"

namespace qcnn {
namespace {

using F = Vec::F;
using M = Vec::M;

// Sums outside of this go through powf. No reciprocal, square root or product of the fast ways
// leaves float's normal range inside it.
constexpr float kLow = 0x1p-120f;
constexpr float kHigh = 0x1p120f;

// Up to this radius the sum of a window is added up where it is needed; beyond it the running sums
// of add_wide() are as fast (measured: AVX2 from 10, AVX-512 from 17 on).
constexpr int64_t kDirectRadius = 10;

// s^-beta; says in which lanes it is good.
struct ThreeQuarters {
  explicit ThreeQuarters(float) {}
  F operator()(F s, M* good) const {
    *good = Vec::within(s, kLow, kHigh);
    const F y = Vec::rsqrt(s);
    return Vec::mul(y, Vec::mul(y, Vec::rsqrt(y)));
  }
};

struct Half {
  explicit Half(float) {}
  F operator()(F s, M* good) const {
    *good = Vec::within(s, kLow, kHigh);
    return Vec::rsqrt(s);
  }
};

struct One {
  explicit One(float) {}
  F operator()(F s, M* good) const {
    *good = Vec::within(s, kLow, kHigh);
    const F y = Vec::rsqrt(s);
    return Vec::mul(y, y);
  }
};

// exp2(-beta * log2(s)). The polynomials are least-maximum fits of the relative error: 2.7e-8 for
// log2(1 + f) / f between sqrt(1/2) and sqrt(2), 2e-9 for exp2 between -1/2 and 1/2.
struct General {
  float beta;
  explicit General(float b) : beta(b) {}
  F operator()(F s, M* good) const {
    // s = 2^e * m, m from sqrt(1/2) to sqrt(2): 0x3f3504f3 is sqrt(1/2).
    const Vec::I exponent =
        Vec::shift_right_23(Vec::sub_int(Vec::as_int(s), Vec::set_int(0x3f3504f3)));
    const F m = Vec::as_float(Vec::sub_int(Vec::as_int(s), Vec::shift_left_23(exponent)));
    const F f = Vec::sub(m, Vec::set(1.0f));
    F p = Vec::set(0.125836894f);
    p = Vec::fma(p, f, Vec::set(-0.207269683f));
    p = Vec::fma(p, f, Vec::set(0.215715617f));
    p = Vec::fma(p, f, Vec::set(-0.238944829f));
    p = Vec::fma(p, f, Vec::set(0.287916243f));
    p = Vec::fma(p, f, Vec::set(-0.360703677f));
    p = Vec::fma(p, f, Vec::set(0.480910629f));
    p = Vec::fma(p, f, Vec::set(-0.721347332f));
    p = Vec::fma(p, f, Vec::set(1.44269502f));
    const F log = Vec::fma(p, f, Vec::to_float(exponent));
    const F t = Vec::mul(log, Vec::set(-beta));
    *good = Vec::both(Vec::within(s, kLow, kHigh), Vec::within(t, -126.0f, 126.0f));
    // Adding 1.5 * 2^23 rounds to a whole number, which then stands in the lowest bits.
    const F magic = Vec::set(12582912.0f);
    const F whole = Vec::add(t, magic);
    const F g = Vec::sub(t, Vec::sub(whole, magic));
    F q = Vec::set(0.00015345811f);
    q = Vec::fma(q, g, Vec::set(0.00133999309f));
    q = Vec::fma(q, g, Vec::set(0.00961848907f));
    q = Vec::fma(q, g, Vec::set(0.0555032864f));
    q = Vec::fma(q, g, Vec::set(0.240226462f));
    q = Vec::fma(q, g, Vec::set(0.693147182f));
    q = Vec::fma(q, g, Vec::set(1.0f));
    return Vec::as_float(Vec::add_int(Vec::as_int(q), Vec::shift_left_23(Vec::as_int(whole))));
  }
};

// x * s^-beta with the lanes replaced in which the fast way is no good.
F repair(F s, F fast, M good, float beta) {
  float sums[Vec::kLanes], powers[Vec::kLanes];
  Vec::store(sums, s);
  Vec::store(powers, fast);
  const unsigned bits = Vec::bits(good);
  for (int i = 0; i < Vec::kLanes; ++i) {
    if ((bits >> i & 1) == 0) powers[i] = powf(sums[i], -beta);
  }
  return Vec::load(powers);
}

template <typename Power>
inline F normalize(const Power& power, const LrnShape& shape, F x, F sum) {
  const F s = Vec::fma(sum, Vec::set(shape.alpha), Vec::set(shape.bias));
  M good;
  F scale = power(s, &good);
  if (Vec::bits(good) != Vec::kAll) scale = repair(s, scale, good, shape.beta);
  return Vec::mul(x, scale);
}

// The vector of channels that begins at channel c, 0 where the pixel has none.
inline F load_at(const float* pixel, int64_t channels, int64_t c) {
  const int64_t begin = c < 0 ? -c : 0;
  const int64_t end = channels - c < Vec::kLanes ? channels - c : Vec::kLanes;
  return begin < end ? Vec::load_part(pixel + c, static_cast<int>(begin), static_cast<int>(end))
                     : Vec::set(0.0f);
}

inline F sum_anywhere(const float* pixel, int64_t channels, int64_t c, int64_t radius) {
  F sum = Vec::set(0.0f);
  for (int64_t j = c - radius; j <= c + radius; ++j) {
    const F x = load_at(pixel, channels, j);
    sum = Vec::fma(x, x, sum);
  }
  return sum;
}

enum class Edge { kNone, kLeft, kRight };

// Sum for the vector of channels at p. kLeft: the pixel begins there; kRight: it ends behind.
template <Edge kEdge>
inline F sum_squares(const float* p, int radius) {
  constexpr int kLanes = Vec::kLanes;
  F sum = Vec::set(0.0f);
  for (int j = -radius; j <= radius; ++j) {
    F x;
    if (kEdge == Edge::kLeft && j < 0) {
      x = Vec::load_part(p + j, -j < kLanes ? -j : kLanes, kLanes);
    } else if (kEdge == Edge::kRight && j > 0) {
      x = Vec::load_part(p + j, 0, j < kLanes ? kLanes - j : 0);
    } else {
      x = Vec::load(p + j);
    }
    sum = Vec::fma(x, x, sum);
  }
  return sum;
}

// For a radius up to kDirectRadius. The squares are summed straight from the
// input: a buffer of squares would be stored in whole vectors and read across them, which CPUs do
// not forward.
template <typename Power>
void run_direct(const LrnShape& shape, int64_t count, const float* input, float* output) {
  constexpr int64_t kLanes = Vec::kLanes;
  const int64_t channels = shape.channels;
  const int radius = static_cast<int>(shape.radius);
  const Power power(shape.beta);
  for (int64_t p = 0; p < count; ++p, input += channels, output += channels) {
    if (channels < kLanes) {
      const F x = Vec::load_part(input, 0, static_cast<int>(channels));
      const F y = normalize(power, shape, x, sum_anywhere(input, channels, 0, radius));
      Vec::store_part(output, static_cast<int>(channels), y);
      continue;
    }
    for (int64_t next = 0; next < channels; next += kLanes) {
      // The last vector overlaps the one before; what both write is the same.
      const int64_t c = next + kLanes <= channels ? next : channels - kLanes;
      const bool inside_left = c >= radius, inside_right = c + kLanes + radius <= channels;
      F sum;
      if (inside_left && inside_right) {
        sum = sum_squares<Edge::kNone>(input + c, radius);
      } else if (c == 0 && inside_right) {
        sum = sum_squares<Edge::kLeft>(input + c, radius);
      } else if (c == channels - kLanes && inside_left) {
        sum = sum_squares<Edge::kRight>(input + c, radius);
      } else {
        sum = sum_anywhere(input, channels, c, radius);
      }
      Vec::store(output + c, normalize(power, shape, Vec::load(input + c), sum));
    }
  }
}

// The same for radius 2 (AlexNet, CNN-S, GoogLeNet), each input read once: neighbours come out of
// two vectors of squares. AlexNet's norm1 on a Zen 5, AVX-512: 0.073 ms; with five loads 0.110 ms.
template <typename Power>
void run_radius_2(const LrnShape& shape, int64_t count, const float* input, float* output) {
  constexpr int kLanes = Vec::kLanes;
  const int64_t channels = shape.channels;
  const int rest = static_cast<int>(channels % kLanes);
  const int64_t whole = channels - rest;
  const Power power(shape.beta);
  for (int64_t p = 0; p < count; ++p, input += channels, output += channels) {
    F before = Vec::set(0.0f);
    F x = whole > 0 ? Vec::load(input) : Vec::load_part(input, 0, rest);
    F square = Vec::mul(x, x);
    for (int64_t c = 0; c < channels; c += kLanes) {
      F next = Vec::set(0.0f);
      if (c + kLanes < whole) {
        next = Vec::load(input + c + kLanes);
      } else if (c + kLanes < channels) {
        next = Vec::load_part(input + c + kLanes, 0, rest);
      }
      const F after = Vec::mul(next, next);
      const F near = Vec::add(Vec::shift<kLanes - 1>(before, square), Vec::shift<1>(square, after));
      const F far = Vec::add(Vec::shift<kLanes - 2>(before, square), Vec::shift<2>(square, after));
      const F y = normalize(power, shape, x, Vec::add(square, Vec::add(near, far)));
      if (c < whole) {
        Vec::store(output + c, y);
      } else {
        Vec::store_part(output + c, rest, y);
      }
      before = square;
      square = after;
      x = next;
    }
  }
}

// Sums of squares over wide windows, two additions an output. The channels are cut into blocks as
// long as a window; every window is the end of one block and the beginning of the next, and both
// are running sums. Nothing is subtracted, so no large value stays behind in the sums after it, as
// it would in a sliding sum.
void add_wide(const float* input, int64_t channels, int64_t radius, float* sums) {
  const int64_t window = 2 * radius + 1;
  // Window c begins at c - radius. First its part up to the end of the block in which it begins.
  for (int64_t block = -radius; block < channels - radius; block += window) {
    double sum = 0;
    for (int64_t j = block + window - 1; j >= block; --j) {
      if (j >= 0 && j < channels) {
        sum += static_cast<double>(input[j]) * static_cast<double>(input[j]);
      }
      const int64_t c = j + radius;
      if (c < channels) sums[c] = static_cast<float>(sum);
    }
  }
  // Then its part from the beginning of the next one, which is behind channel radius.
  double sum = 0;
  int64_t left = window;
  for (int64_t c = 1; c < channels; ++c) {
    const int64_t j = c + radius;
    if (j < channels) sum += static_cast<double>(input[j]) * static_cast<double>(input[j]);
    if (--left == 0) {  // this window is a whole block, the first part has it all
      sum = 0;
      left = window;
    } else {
      sums[c] += static_cast<float>(sum);
    }
  }
}

template <typename Power>
void run_wide(const LrnShape& shape, int64_t count, const float* input, float* output) {
  constexpr int64_t kLanes = Vec::kLanes;
  const int64_t channels = shape.channels;
  const int64_t radius = shape.radius < channels ? shape.radius : channels;
  const Power power(shape.beta);
  for (int64_t p = 0; p < count; ++p, input += channels, output += channels) {
    add_wide(input, channels, radius, output);
    int64_t c = 0;
    for (; c + kLanes <= channels; c += kLanes) {
      const F x = Vec::load(input + c);
      Vec::store(output + c, normalize(power, shape, x, Vec::load(output + c)));
    }
    const int rest = static_cast<int>(channels - c);
    if (rest > 0) {
      const F x = Vec::load_part(input + c, 0, rest);
      const F sum = Vec::load_part(output + c, 0, rest);
      Vec::store_part(output + c, rest, normalize(power, shape, x, sum));
    }
  }
}

template <typename Power>
void run(const LrnShape& shape, int64_t count, const float* input, float* output) {
  if (shape.radius == 2) {
    run_radius_2<Power>(shape, count, input, output);
  } else if (shape.radius <= kDirectRadius) {
    run_direct<Power>(shape, count, input, output);
  } else {
    run_wide<Power>(shape, count, input, output);
  }
}

void lrn(const LrnShape& shape, int64_t count, const float* input, float* output) {
  if (shape.beta == 0.75f) {
    run<ThreeQuarters>(shape, count, input, output);
  } else if (shape.beta == 0.5f) {
    run<Half>(shape, count, input, output);
  } else if (shape.beta == 1.0f) {
    run<One>(shape, count, input, output);
  } else {
    run<General>(shape, count, input, output);
  }
}

void max(int64_t channels, int64_t count, const float* const* pixels, float* output) {
  constexpr int64_t kLanes = Vec::kLanes;
  if (channels < kLanes) {
    const int part = static_cast<int>(channels);
    F largest = Vec::load_part(pixels[0], 0, part);
    for (int64_t i = 1; i < count; ++i) {
      largest = Vec::max(largest, Vec::load_part(pixels[i], 0, part));
    }
    Vec::store_part(output, part, largest);
    return;
  }
  for (int64_t next = 0; next < channels; next += kLanes) {
    // The last vector overlaps the one before; what both write is the same.
    const int64_t c = next + kLanes <= channels ? next : channels - kLanes;
    F largest = Vec::load(pixels[0] + c);
    for (int64_t i = 1; i < count; ++i) largest = Vec::max(largest, Vec::load(pixels[i] + c));
    Vec::store(output + c, largest);
  }
}

}  // namespace
}  // namespace qcnn

#endif  // QCNN_CORE_LRN_INL_H_
