// What the files of an instruction set include, included before their attribute is pushed: an
// inline function that other files have too must not be compiled for a CPU that may not be there.
//
// A Swift package has no compiler flags for single files. Clang's attribute does the same, and each
// file here hands one file of core/ to it. Other builds (CMakeLists.txt) do not see this folder.
#ifndef QCNN_SWIFT_SHARED_H_
#define QCNN_SWIFT_SHARED_H_

#include <math.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "core/conv_ops.h"
#include "core/fc_ops.h"
#include "core/layer.h"
#include "core/lrn.h"

#endif  // QCNN_SWIFT_SHARED_H_
