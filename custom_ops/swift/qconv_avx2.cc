#include "swift/shared.h"

#if defined(__x86_64__)
#undef __AVX2__
#define __AVX2__ 1
#undef __FMA__
#define __FMA__ 1
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#endif
#include "core/qconv_avx2.cc"
#if defined(__x86_64__)
#pragma clang attribute pop
#endif
