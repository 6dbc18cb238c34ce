// Prepare and Invoke of QConv or QFC (QCNN_FUZZ_KIND) with layers that a stranger made.
//
// A kernel of this machine is chosen, now and then all of them; all must take the same layers. One
// that was left as it was made must be accepted, and answered as dense arithmetic answers it, by
// any number of threads alike.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/kernels.h"
#include "core/thread_pool.h"
#include "fuzz/layer_maker.h"
#include "random_layer.h"
#include "tflite/ops.h"

namespace qcnn {
namespace {

// Of an output: more than any sound layer of layer_maker.cc has. With 64 MiB a layer whose padding
// is a million rows is run by every kernel, for a minute.
constexpr size_t kMostBytes = size_t{2} << 20;

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
template <typename T>
using Block = std::unique_ptr<T, Free>;

Block<TfLiteIntArray> int_array(const std::vector<int>& values) {
  auto* array =
      static_cast<TfLiteIntArray*>(std::malloc(sizeof(TfLiteIntArray) + 4 * values.size()));
  array->size = static_cast<int>(values.size());
  std::copy(values.begin(), values.end(), array->data);
  return Block<TfLiteIntArray>(array);
}

Block<TfLiteFloatArray> float_array(const std::vector<float>& values) {
  auto* array =
      static_cast<TfLiteFloatArray*>(std::malloc(sizeof(TfLiteFloatArray) + 4 * values.size()));
  array->size = static_cast<int>(values.size());
  std::copy(values.begin(), values.end(), array->data);
  return Block<TfLiteFloatArray>(array);
}

struct Outcome {
  bool accepted = false, answered = false;
  std::string error;
  std::vector<int> shape;
  std::vector<float> output;
};

[[noreturn]] void fail(const char* what, const Kernel& kernel, const std::string& detail) {
  std::fprintf(stderr, "FINDING: %s (kernel %s): %s\n", what, kernel.name, detail.c_str());
  std::abort();
}

Outcome run(const MadeLayer& layer, size_t kernel, int threads) {
  Host host;
  host.most_bytes = kMostBytes;
  host.context()->recommended_num_threads = threads;
  for (int i = 0; i < 6; ++i) place(layer.tensors[i], i, &host);
  const auto scales = float_array(layer.scales);
  const auto zero_points = int_array(layer.zero_points);
  TfLiteAffineQuantization quantization = {scales.get(), zero_points.get(),
                                           layer.quantized_dimension};
  if (layer.quantized) host[1].quantization = {kTfLiteAffineQuantization, &quantization};
  const auto inputs = int_array(layer.inputs), outputs = int_array(layer.outputs);

  const TfLiteRegistration& op = op_registration(layer.kind, kernel);
  TfLiteNode node = {};
  node.inputs = inputs.get();
  node.outputs = outputs.get();
  node.user_data = op.init(host.context(), reinterpret_cast<const char*>(layer.options.data()),
                           layer.options.size());
  Outcome outcome;
  outcome.accepted = op.prepare(host.context(), &node) == kTfLiteOk;
  // A host has memory for every tensor of the arena by now.
  if (outcome.accepted) outcome.answered = op.invoke(host.context(), &node) == kTfLiteOk;
  outcome.error = host.error;
  if (outcome.answered) {
    const TfLiteTensor& output = host[layer.outputs[0]];
    outcome.shape.assign(output.dims->data, output.dims->data + output.dims->size);
    const auto* values = static_cast<const float*>(output.data);
    outcome.output.assign(values, values + output.bytes / 4);
    if (!layer.second_shape.empty() && layer.inputs[0] == 0) {
      size_t count = 1;
      for (int size : layer.second_shape) count *= static_cast<size_t>(size);
      MadeTensor input = layer.tensors[0];
      input.shape = layer.second_shape;
      input.bytes.assign(4 * count, 0x3f);
      place(input, 0, &host);
      if (op.prepare(host.context(), &node) == kTfLiteOk) op.invoke(host.context(), &node);
    }
  }
  op.free(host.context(), node.user_data);
  return outcome;
}

// As TensorFlow Lite defines SAME and VALID, on its own.
int64_t pad_before(int64_t size, int64_t kernel, int64_t stride, int64_t dilation, Padding padding,
                   int64_t given, int64_t out) {
  if (padding != Padding::kSame) return given;
  return std::max<int64_t>((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0) / 2;
}

// Whether the kernel's dilated reach lies inside the padded input: if not, refusing is right.
bool fits(const MadeLayer& layer) {
  const Options& o = layer.meaning;
  if (layer.kind == OpKind::kFc || o.padding == Padding::kSame) return true;
  const auto& shape = layer.tensors[0].shape;
  return shape[1] + o.pad_top + o.pad_bottom > (o.kernel_h - 1) * o.dilation_h &&
         shape[2] + o.pad_left + o.pad_right > (o.kernel_w - 1) * o.dilation_w;
}

struct Expected {
  Answer answer;
  double bound = 0;  // as Answer::size, of weights as large as any codeword
};

Expected expect(const MadeLayer& layer, const std::vector<int>& out) {
  const Options& o = layer.meaning;
  std::vector<float> input(layer.tensors[0].bytes.size() / 4);
  std::memcpy(input.data(), layer.tensors[0].bytes.data(), input.size() * 4);
  Codes largest = layer.codes;
  float most = 0;
  for (float value : largest.codebooks) most = std::max(most, std::abs(value));
  std::fill(largest.codebooks.begin(), largest.codebooks.end(), most);
  if (layer.kind == OpKind::kFc) {
    const FcShape s = {static_cast<int64_t>(input.size()) / o.in_channels, o.in_channels,
                       o.out_channels, static_cast<Activation>(o.activation)};
    return {naive_fc(s, layer.codes, input.data()), naive_fc(s, largest, input.data()).size};
  }
  const auto& in = layer.tensors[0].shape;
  ConvShape s;
  s.batch = in[0], s.in_h = in[1], s.in_w = in[2], s.in_channels = in[3];
  s.out_h = out[1], s.out_w = out[2], s.out_channels = o.out_channels;
  s.kernel_h = o.kernel_h, s.kernel_w = o.kernel_w;
  s.stride_h = o.stride_h, s.stride_w = o.stride_w;
  s.dilation_h = o.dilation_h, s.dilation_w = o.dilation_w;
  s.pad_top =
      pad_before(s.in_h, s.kernel_h, s.stride_h, s.dilation_h, o.padding, o.pad_top, out[1]);
  s.pad_left =
      pad_before(s.in_w, s.kernel_w, s.stride_w, s.dilation_w, o.padding, o.pad_left, out[2]);
  s.groups = o.groups;
  s.activation = static_cast<Activation>(o.activation);
  return {naive_conv(s, layer.codes, input.data()), naive_conv(s, largest, input.data()).size};
}

void compare(const MadeLayer& layer, const Expected& expected, const Kernel& kernel,
             const Outcome& outcome) {
  const auto& wanted = expected.answer.output;
  if (outcome.output.size() != wanted.size()) {
    fail("the output's size", kernel, std::to_string(outcome.output.size()));
  }
  // float32 sums; tables in int16 are good for 0.5 % on ordinary layers (kernels_test.cc), so this
  // is what no rounding explains.
  const double part = std::strcmp(kernel.name, "reference") == 0 ? 1e-4 : 5e-2;
  double error = 0, norm = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    error = std::hypot(error, outcome.output[i] - wanted[i]);
    norm = std::hypot(norm, wanted[i]);
  }
  if (!(error <= part * expected.bound + 1e-5 * norm + 1e-30)) {
    fail("the answer strays", kernel,
         std::to_string(error) + " of " + std::to_string(expected.bound) + ", channels " +
             std::to_string(layer.meaning.in_channels));
  }
}

void fuzz(const uint8_t* data, size_t size) {
  // Threads live on: to make and join them takes longer than a layer.
  static const auto pool = ThreadPool::get(3);
  FuzzedDataProvider from(data, size);
  const MadeLayer layer = make_layer(&from, QCNN_FUZZ_KIND);
  const bool sound = !layer.changed && fits(layer);
  Outcome first;
  std::unique_ptr<Expected> expected;
  const Kernel* first_kernel = nullptr;
  static const std::vector<size_t> usable = [] {
    std::vector<size_t> found;
    for (size_t i = 0; i < kernels().size(); ++i) {
      if (kernels()[i]->available()) found.push_back(i);
    }
    return found;
  }();
  for (size_t k = 0; k < usable.size(); ++k) {
    if (!layer.all_kernels && k != layer.kernel % usable.size()) continue;
    const size_t i = usable[k];
    const Kernel& kernel = *kernels()[i];
    const Outcome outcome = run(layer, i, layer.threads);
    if (outcome.answered != outcome.error.empty()) {
      fail("refused without a sentence", kernel, outcome.error);
    }
    if (sound && !outcome.answered) fail("a sound layer is refused", kernel, outcome.error);
    if (first_kernel == nullptr) {
      first = outcome;
      first_kernel = &kernel;
    } else if (outcome.accepted != first.accepted || outcome.answered != first.answered ||
               outcome.shape != first.shape || outcome.error != first.error) {
      fail("kernels disagree about the layer", kernel, outcome.error + " / " + first.error);
    }
    if (outcome.answered && layer.threads > 1) {
      const Outcome alone = run(layer, i, 1);
      if (alone.output.size() != outcome.output.size() ||
          std::memcmp(alone.output.data(), outcome.output.data(), 4 * alone.output.size()) != 0) {
        fail("threads change the answer", kernel, "");
      }
    }
    if (sound && layer.ordinary) {
      if (expected == nullptr) expected = std::make_unique<Expected>(expect(layer, outcome.shape));
      compare(layer, *expected, kernel, outcome);
    }
  }
}

}  // namespace
}  // namespace qcnn

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  qcnn::fuzz(data, size);
  return 0;
}
