#include "swift/shared.h"

#if defined(__x86_64__)
#undef __AVX512F__
#define __AVX512F__ 1
#undef __AVX512BW__
#define __AVX512BW__ 1
#undef __AVX512VL__
#define __AVX512VL__ 1
#undef __AVX512DQ__
#define __AVX512DQ__ 1
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma"))), apply_to = function)
#endif
#include "core/qconv_avx512.cc"
#if defined(__x86_64__)
#pragma clang attribute pop
#endif
