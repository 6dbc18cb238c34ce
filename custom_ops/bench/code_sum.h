// The yardstick of a layer whose codes come from memory: one pass over the same bytes.
#ifndef QCNN_BENCH_CODE_SUM_H_
#define QCNN_BENCH_CODE_SUM_H_

#include <cstdint>

namespace qcnn {

// Sum of the bytes, by the widest registers that this CPU has; ahead: bytes that are prefetched
// before their use, 0 to leave that to the hardware. size is a multiple of 256.
uint64_t code_sum(const uint8_t* bytes, int64_t size, int64_t ahead);

// Name of the registers that it uses; static.
const char* code_sum_registers();

}  // namespace qcnn

#endif  // QCNN_BENCH_CODE_SUM_H_
