// What the CPU is.
#ifndef QCNN_CORE_CPU_H_
#define QCNN_CORE_CPU_H_

#include <cstdint>

namespace qcnn {

// Instruction sets that kernels ask for. Includes that the operating system saves the registers.
bool cpu_has_avx2();         // AVX2, FMA, F16C
bool cpu_has_avx512();       // AVX-512 F, BW, VL, DQ
bool cpu_has_avx512_vnni();  // also VNNI and VBMI
bool cpu_has_neon();
bool cpu_has_neon_dotprod();  // dot product and half precision: ARMv8.2, in all known cores both

// Bytes of data cache that one thread can count on; a cautious guess where the system does not
// tell.
struct Caches {
  int64_t l1 = 32 << 10;
  int64_t l2 = 256 << 10;
};
const Caches& caches();

}  // namespace qcnn

#endif  // QCNN_CORE_CPU_H_
