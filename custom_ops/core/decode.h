// Decoding of what the file stores: float16 values and bit-packed codes.
#ifndef QCNN_CORE_DECODE_H_
#define QCNN_CORE_DECODE_H_

#include <cstddef>
#include <cstdint>

namespace qcnn {

// IEEE 754 binary16 to binary32, exact.
float half_to_float(uint16_t half);

// max(1, ceil(log2 K)) for K from 1 to 256.
int code_bits(int64_t K);

// Unpacks one row of codes.
//
// packed: ceil(count * bits / 8) bytes; code i is bits i*bits .. i*bits+bits-1 of the row, bit b
//   being bit (b mod 8) of byte (b div 8).
// codes: [count].
// Returns false if a code is K or more, or a bit behind the last code is set.
bool unpack_row(const uint8_t* packed, int64_t count, int bits, int64_t K, uint8_t* codes);

}  // namespace qcnn

#endif  // QCNN_CORE_DECODE_H_
