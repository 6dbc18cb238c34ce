// Prepare and Invoke of LOCAL_RESPONSE_NORMALIZATION with parameters and tensors of a stranger.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/kernels.h"
#include "host.h"
#include "tflite/lrn_op.h"

namespace qcnn {
namespace {

struct Made {
  TfLiteLocalResponseNormParams params;
  std::vector<int> shape, second_shape;
  std::vector<uint8_t> bytes;
  TfLiteType type = kTfLiteFloat32;
  TfLiteAllocationType allocation = kTfLiteArenaRw;
  bool changed = false, ordinary = true;
  int threads = 1;
  size_t kernel = 0;  // the one that is looked at, modulo their number
};

float odd_float(FuzzedDataProvider* from) {
  using Limits = std::numeric_limits<float>;
  return from->PickValueInArray({0.0f, -1.0f, 1e10f, -1e10f, 1e-30f, Limits::max(),
                                 Limits::denorm_min(), 3e-39f, 1e19f, Limits::infinity(),
                                 -Limits::infinity(), Limits::quiet_NaN()});
}

Made make(FuzzedDataProvider* from) {
  Made made;
  const auto range = [&](int low, int high) { return from->ConsumeIntegralInRange(low, high); };
  const auto part = [&](float low, float high) {
    return low + (high - low) * static_cast<float>(range(0, 255)) / 255;
  };
  made.params.radius = range(0, 3) == 0 ? range(0, 40) : range(0, 5);
  made.params.bias = part(0.5f, 4);
  made.params.alpha = part(0, 2);
  made.params.beta = from->PickValueInArray({0.75f, 0.5f, 1.0f, part(0, 2)});
  made.shape = {range(0, 7) == 0 ? 2 : 1, range(1, 2), range(1, 3),
                range(0, 1) == 0 ? range(1, 80) : 16 * range(1, 4)};
  if (range(0, 7) == 0) made.second_shape = {1, range(1, 5), range(1, 9), made.shape[3]};
  if (range(0, 127) == 127) made.shape[1] *= 100, made.threads = 3;
  made.kernel = static_cast<size_t>(range(0, 11));
  size_t count = 1;
  for (int size : made.shape) count *= static_cast<size_t>(size);
  std::vector<float> values(count);
  uint32_t state = from->ConsumeIntegral<uint16_t>();
  const float size = static_cast<float>(std::ldexp(1.0, range(0, 3) == 0 ? range(-20, 20) : 0));
  for (float& value : values) {
    state = state * 1664525 + 1013904223;
    value = (static_cast<float>(state >> 8) / 8388608.0f - 1) * size;
  }
  const auto pick = [&](size_t most) { return static_cast<size_t>(range(0, int(most) - 1)); };
  for (int odd = range(0, 9) - 7; odd > 0; --odd) {
    values[pick(count)] = odd_float(from);
    made.ordinary = false;
  }
  made.bytes.resize(4 * count);
  std::memcpy(made.bytes.data(), values.data(), made.bytes.size());
  if (range(0, 7) == 0) made.allocation = kTfLiteDynamic;
  for (int changes = range(0, 5) - 3; changes > 0; --changes) {
    made.changed = true;
    switch (range(0, 5)) {
      case 0:
        made.params.radius = from->PickValueInArray({-1, 255, 1 << 20, INT32_MAX, INT32_MIN});
        break;
      case 1:
        (range(0, 2) == 0   ? made.params.bias
         : range(0, 1) == 0 ? made.params.alpha
                            : made.params.beta) = odd_float(from);
        break;
      case 2:
        if (!made.shape.empty()) {
          made.shape[pick(made.shape.size())] =
              from->PickValueInArray({0, -1, 1, 2, 33, 65536, INT32_MAX, INT32_MIN});
        }
        break;
      case 3:
        made.bytes.resize(pick(made.bytes.size() + 5));
        break;
      case 4:
        made.shape.resize(static_cast<size_t>(range(0, 5)), 2);
        break;
      default:
        made.type = from->PickValueInArray({kTfLiteInt8, kTfLiteNoType, kTfLiteFloat32});
        made.allocation =
            from->PickValueInArray({kTfLiteMmapRo, kTfLiteArenaRwPersistent, kTfLitePersistentRo});
    }
  }
  return made;
}

struct Outcome {
  bool accepted = false, answered = false;
  std::string error;
  std::vector<float> output;
};

Outcome run(const Made& made, size_t kernel, int threads) {
  Host host;
  host.most_bytes = size_t{2} << 20;  // as in layer_fuzz.cc
  host.context()->recommended_num_threads = threads;
  host.set(0, made.shape, made.bytes, made.type, made.allocation);
  host.set(1, {1}, std::vector<uint8_t>(4), kTfLiteFloat32, kTfLiteArenaRw);
  struct {
    int size, data[1];
  } input = {1, {0}}, output = {1, {1}};
  const TfLiteRegistration& op = lrn_registration(kernel);
  TfLiteNode node = {};
  node.inputs = reinterpret_cast<TfLiteIntArray*>(&input);
  node.outputs = reinterpret_cast<TfLiteIntArray*>(&output);
  node.user_data = op.init(host.context(), reinterpret_cast<const char*>(&made.params), 0);
  Outcome outcome;
  outcome.accepted = op.prepare(host.context(), &node) == kTfLiteOk;
  if (outcome.accepted) outcome.answered = op.invoke(host.context(), &node) == kTfLiteOk;
  outcome.error = host.error;
  if (outcome.answered) {
    const auto* values = static_cast<const float*>(host[1].data);
    outcome.output.assign(values, values + host[1].bytes / 4);
    if (!made.second_shape.empty()) {
      size_t count = 4;
      for (int size : made.second_shape) count *= static_cast<size_t>(size);
      host.set(0, made.second_shape, std::vector<uint8_t>(count, 0x3f), made.type, made.allocation);
      if (op.prepare(host.context(), &node) == kTfLiteOk) op.invoke(host.context(), &node);
    }
  }
  op.free(host.context(), node.user_data);
  return outcome;
}

[[noreturn]] void fail(const char* what, const Kernel& kernel, const std::string& detail) {
  std::fprintf(stderr, "FINDING: %s (kernel %s): %s\n", what, kernel.name, detail.c_str());
  std::abort();
}

void fuzz(const uint8_t* data, size_t size) {
  FuzzedDataProvider from(data, size);
  const Made made = make(&from);
  // The reference kernel is the last one and computes in double precision.
  const size_t last = kernels().size() - 1;
  const Outcome wanted = run(made, last, 1);
  for (size_t i = 0; i <= last; ++i) {
    const Kernel& kernel = *kernels()[i];
    if (!kernel.available() || i != made.kernel % (last + 1)) continue;
    const Outcome outcome = run(made, i, made.threads);
    if (outcome.answered != outcome.error.empty()) fail("no sentence", kernel, outcome.error);
    if (!made.changed && !outcome.answered) fail("a sound node is refused", kernel, outcome.error);
    if (outcome.accepted != wanted.accepted || outcome.error != wanted.error ||
        outcome.output.size() != wanted.output.size()) {
      fail("kernels disagree about the node", kernel, outcome.error + " / " + wanted.error);
    }
    if (made.changed || !made.ordinary) continue;
    for (size_t j = 0; j < wanted.output.size(); ++j) {
      const float a = outcome.output[j], b = wanted.output[j];
      // 1e-4 is what lrn_test.cc holds kernels to.
      if (!(std::abs(a - b) <= 1e-3f * std::abs(b) + 1e-30f)) {
        fail("the answer strays", kernel, std::to_string(a) + " for " + std::to_string(b));
      }
    }
  }
}

}  // namespace
}  // namespace qcnn

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  qcnn::fuzz(data, size);
  return 0;
}
