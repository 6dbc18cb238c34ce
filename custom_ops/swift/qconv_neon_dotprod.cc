#include "swift/shared.h"

#if defined(__aarch64__)
#undef __ARM_FEATURE_FP16_VECTOR_ARITHMETIC
#define __ARM_FEATURE_FP16_VECTOR_ARITHMETIC 1
#undef __ARM_FEATURE_DOTPROD
#define __ARM_FEATURE_DOTPROD 1
#pragma clang attribute push(__attribute__((target("fullfp16,dotprod"))), apply_to = function)
#endif
#include "core/qconv_neon_dotprod.cc"
#if defined(__aarch64__)
#pragma clang attribute pop
#endif
