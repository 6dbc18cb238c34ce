#include "core/decode.h"

#include <cassert>
#include <cstring>

namespace qcnn {

float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  uint32_t exponent = (half >> 10) & 0x1fu;
  uint32_t mantissa = half & 0x3ffu;
  uint32_t bits = sign;
  if (exponent == 0x1f) {
    bits |= 0x7f800000u | (mantissa << 13);
  } else if (exponent != 0) {
    bits |= ((exponent + 112) << 23) | (mantissa << 13);
  } else if (mantissa != 0) {
    exponent = 113;
    while ((mantissa & 0x400u) == 0) {
      mantissa <<= 1;
      --exponent;
    }
    bits |= (exponent << 23) | ((mantissa & 0x3ffu) << 13);
  }
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

int code_bits(int64_t K) {
  assert(K >= 1 && K <= 256);
  int bits = 1;
  while ((int64_t{1} << bits) < K) ++bits;
  return bits;
}

bool unpack_row(const uint8_t* packed, int64_t count, int bits, int64_t K, uint8_t* codes) {
  assert(packed != nullptr && codes != nullptr && bits >= 1 && bits <= 8);
  const uint32_t mask = (1u << bits) - 1u;
  uint32_t window = 0;
  int held = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (held < bits) {
      window |= static_cast<uint32_t>(*packed++) << held;
      held += 8;
    }
    const uint32_t code = window & mask;
    if (static_cast<int64_t>(code) >= K) return false;
    codes[i] = static_cast<uint8_t>(code);
    window >>= bits;
    held -= bits;
  }
  return window == 0;
}

}  // namespace qcnn
