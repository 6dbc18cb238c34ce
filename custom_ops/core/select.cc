#include <cstring>
#include <utility>

#include "core/conv_ops.h"
#include "core/cpu.h"
#include "core/fc_ops.h"
#include "core/kernels.h"
#include "core/lrn.h"
#include "core/qconv.h"
#include "core/qconv_reference.h"
#include "core/qfc.h"
#include "core/qfc_reference.h"

namespace qcnn {
namespace {

// Factories of a kernel made of the primitives of one instruction set.
template <const ConvOps* (*conv_ops)(), const FcOps* (*fc_ops)()>
struct Factories {
  static std::unique_ptr<ConvLayer> conv(const ConvShape& shape, Codes codes) {
    return make_conv(*conv_ops(), shape, std::move(codes));
  }
  static std::unique_ptr<FcLayer> fc(const FcShape& shape, Codes codes) {
    return make_fc(*fc_ops(), *conv_ops(), shape, std::move(codes));
  }
};

template <const ConvOps* (*conv_ops)(), const FcOps* (*fc_ops)()>
Kernel make_kernel(const char* name, const char* features, bool (*available)(), LrnFunction lrn,
                   MaxFunction max) {
  using Made = Factories<conv_ops, fc_ops>;
  return {name, features, available, true, Made::conv, Made::fc, lrn, max};
}

KernelList build_list() {
  KernelList list;
  if (conv_ops_avx512_vnni() != nullptr) {
    static const Kernel kernel = make_kernel<conv_ops_avx512_vnni, fc_ops_avx512_vnni>(
        "avx512_vnni", "AVX-512 F, BW, VL, DQ, VNNI, VBMI", cpu_has_avx512_vnni, lrn_avx512,
        max_avx512);
    list.add(&kernel);
  }
  if (conv_ops_avx512() != nullptr) {
    static const Kernel kernel = make_kernel<conv_ops_avx512, fc_ops_avx512>(
        "avx512", "AVX-512 F, BW, VL, DQ", cpu_has_avx512, lrn_avx512, max_avx512);
    list.add(&kernel);
  }
  if (conv_ops_avx2() != nullptr) {
    static const Kernel kernel = make_kernel<conv_ops_avx2, fc_ops_avx2>(
        "avx2", "AVX2, FMA, F16C", cpu_has_avx2, lrn_avx2, max_avx2);
    list.add(&kernel);
  }
  if (conv_ops_neon_dotprod() != nullptr) {
    static const Kernel kernel = make_kernel<conv_ops_neon_dotprod, fc_ops_neon>(
        "neon_dotprod", "NEON, dot product, half precision", cpu_has_neon_dotprod, lrn_neon,
        max_neon);
    list.add(&kernel);
  }
  if (conv_ops_neon() != nullptr) {
    static const Kernel kernel =
        make_kernel<conv_ops_neon, fc_ops_neon>("neon", "NEON", cpu_has_neon, lrn_neon, max_neon);
    list.add(&kernel);
  }
  static const Kernel reference = {"reference",   "nothing beyond C++", [] { return true; },
                                   false,         make_conv_reference,  make_fc_reference,
                                   lrn_reference, max_reference};
  list.add(&reference);
  return list;
}

}  // namespace

const KernelList& kernels() {
  static const KernelList list = build_list();
  return list;
}

const Kernel* select_kernel(const char* name) {
  const bool automatic = name == nullptr || std::strcmp(name, "auto") == 0;
  for (const Kernel* kernel : kernels()) {
    if ((automatic || std::strcmp(name, kernel->name) == 0) && kernel->available()) return kernel;
  }
  return nullptr;
}

}  // namespace qcnn
