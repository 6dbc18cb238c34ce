// Models of a stranger in a real TensorFlow Lite (the C library named by QCNN_TFLITE_C).
//
// Only what belongs to our nodes is changed: options, shapes, types, quantization and data of their
// tensors, the pooling behind them, metadata. What else a file may hold wrong is the host's to
// find. QCNN_FUZZ_SAVE names a file for the last model, to look at it elsewhere.
#include <dlfcn.h>
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "fuzz/flexbuffers_writer.h"
#include "fuzz/model_map.h"
#include "qcnn/qcnn_ops.h"

namespace qcnn {
namespace {

[[noreturn]] void fail(const char* what, const std::string& detail) {
  std::fprintf(stderr, "FINDING: %s: %s\n", what, detail.c_str());
  std::abort();
}

// The functions of the host's C API that are used.
struct Host {
  using P = void*;
  P (*model_create)(const void*, size_t);
  void (*model_delete)(P);
  P (*options_create)();
  void (*options_delete)(P);
  void (*options_threads)(P, int32_t);
  void (*options_delegate)(P, P);
  void (*options_reporter)(P, void (*)(P, const char*, va_list), P);
  P (*interpreter_create)(P, P);
  void (*interpreter_delete)(P);
  int (*allocate)(P);
  int (*resize)(P, int32_t, const int*, int32_t);
  int (*invoke)(P);
  int32_t (*input_count)(P);
  P (*input)(P, int32_t);
  const void* (*output)(P, int32_t);
  size_t (*byte_size)(const void*);
  void* (*data)(const void*);
  QcnnAddCustomOp add_custom;
  QcnnAddBuiltinOp add_builtin;

  Host() {
    const char* path = std::getenv("QCNN_TFLITE_C");
    void* library = path == nullptr ? nullptr : dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (library == nullptr) {
      std::fprintf(stderr, "QCNN_TFLITE_C must name a libtensorflowlite_c.so\n");
      std::exit(1);
    }
    const auto get = [&](auto* function, const char* name) {
      void* symbol = dlsym(library, name);
      if (symbol == nullptr) {
        std::fprintf(stderr, "%s has no %s\n", path, name);
        std::exit(1);
      }
      std::memcpy(function, &symbol, sizeof(symbol));
    };
    get(&model_create, "TfLiteModelCreate");
    get(&model_delete, "TfLiteModelDelete");
    get(&options_create, "TfLiteInterpreterOptionsCreate");
    get(&options_delete, "TfLiteInterpreterOptionsDelete");
    get(&options_threads, "TfLiteInterpreterOptionsSetNumThreads");
    get(&options_delegate, "TfLiteInterpreterOptionsAddDelegate");
    get(&options_reporter, "TfLiteInterpreterOptionsSetErrorReporter");
    get(&interpreter_create, "TfLiteInterpreterCreate");
    get(&interpreter_delete, "TfLiteInterpreterDelete");
    get(&allocate, "TfLiteInterpreterAllocateTensors");
    get(&resize, "TfLiteInterpreterResizeInputTensor");
    get(&invoke, "TfLiteInterpreterInvoke");
    get(&input_count, "TfLiteInterpreterGetInputTensorCount");
    get(&input, "TfLiteInterpreterGetInputTensor");
    get(&output, "TfLiteInterpreterGetOutputTensor");
    get(&byte_size, "TfLiteTensorByteSize");
    get(&data, "TfLiteTensorData");
    get(&add_custom, "TfLiteInterpreterOptionsAddCustomOp");
    get(&add_builtin, "TfLiteInterpreterOptionsAddBuiltinOp");
  }
};

const Host& host() {
  static const Host functions;
  return functions;
}

// Elements of an activation that the host is asked to find memory for.
constexpr int64_t kMostElements = 1 << 16;

class Stranger {
 public:
  Stranger(FuzzedDataProvider* from, ModelMap* map) : from_(*from), map_(*map) {}

  // Changes the file; returns whether its answer can still be told.
  bool run() {
    for (int64_t left = range(0, 6) - 2; left > 0; --left) change();
    return tellable_;
  }

 private:
  int64_t range(int64_t low, int64_t high) { return from_.ConsumeIntegralInRange(low, high); }
  size_t pick(size_t size) { return static_cast<size_t>(range(0, static_cast<int64_t>(size) - 1)); }

  void u32(size_t at, uint32_t value) {
    for (size_t i = 0; i < 4; ++i) map_.file[at + i] = static_cast<uint8_t>(value >> (8 * i));
  }

  int64_t odd_number() {
    if (from_.ConsumeBool()) return range(0, 20);
    return from_.PickValueInArray<int64_t>({-1, 32, 33, 255, 256, 65536, (1 << 20) - 1, 1 << 20,
                                            (1 << 20) + 1, INT32_MAX, INT32_MIN, INT64_MAX,
                                            INT64_MIN});
  }
  uint32_t odd_float() {
    return from_.PickValueInArray<uint32_t>({0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
                                             0xff800000, 0x7fc00000, 0x7f7fffff, 1, 0x501502f9,
                                             0x0da24260});
  }

  void write_options(MappedNode* node) {
    const auto bytes = write_integer_map(node->option_map, size_t{1} << range(1, 3));
    if (bytes.size() > node->options.count) return;
    std::fill_n(map_.file.begin() + static_cast<std::ptrdiff_t>(node->options.first),
                node->options.count, uint8_t{0});
    std::copy(bytes.begin(), bytes.end(),
              map_.file.begin() + static_cast<std::ptrdiff_t>(node->options.first +
                                                              node->options.count - bytes.size()));
  }

  void change() {
    MappedNode& node = map_.nodes[pick(map_.nodes.size())];
    MappedTensor& tensor = map_.tensors[pick(map_.tensors.size())];
    switch (range(0, 12)) {
      case 0:
      case 1:
        if (node.option_map.empty()) {
          const auto at = pick(4);
          const uint32_t value = at == 0 ? static_cast<uint32_t>(odd_number()) : odd_float();
          u32(node.lrn_params[at], value);
          // x / x^2 where a convolution leaves x not quite 0, and x to the power of the least of
          // floats, say nothing.
          if (at > 0 && (map_.nodes.size() > 1 || value == 1)) tellable_ = false;
        } else {
          node.option_map[pick(node.option_map.size())].second = odd_number();
          write_options(&node);
        }
        break;
      case 2:
        if (node.options.count > 0) {
          // Near the end, where the map is and not the room before it.
          const size_t back = 1 + pick(std::min<size_t>(node.options.count, 256));
          map_.file[node.options.first + node.options.count - back] =
              from_.ConsumeIntegral<uint8_t>();
        }
        break;
      case 3:
        if (node.options.count > 0) {
          u32(node.options.first - 4, static_cast<uint32_t>(pick(node.options.count)));
        }
        break;
      case 4:
      case 5:
        if (tensor.shape.count > 0) {
          u32(tensor.shape.first + 4 * pick(tensor.shape.count),
              static_cast<uint32_t>(odd_number()));
        }
        break;
      case 6:
        if (tensor.shape.count > 0) {
          u32(tensor.shape.first - 4, static_cast<uint32_t>(pick(tensor.shape.count)));
        }
        break;
      case 7:
        if (tensor.type != 0) map_.file[tensor.type] = static_cast<uint8_t>(range(0, 17));
        break;
      case 8:
        if (tensor.data.count > 0) {
          tellable_ = false;
          if (range(0, 3) == 0) {
            u32(tensor.data.first - 4, static_cast<uint32_t>(pick(tensor.data.count)));
          } else if (tensor.data.count >= 4 && range(0, 1) == 0) {
            u32(tensor.data.first + 4 * pick(tensor.data.count / 4), odd_float());
          } else {
            map_.file[tensor.data.first + pick(tensor.data.count)] =
                from_.ConsumeIntegral<uint8_t>();
          }
        }
        break;
      case 9:
        if (tensor.buffer != 0) {
          tellable_ = false;
          u32(tensor.buffer, static_cast<uint32_t>(pick(map_.buffer_count)));
        }
        break;
      case 10:
        tellable_ = false;
        if (tensor.scales.count > 0 && range(0, 1) == 0) {
          u32(tensor.scales.first + 4 * pick(tensor.scales.count), odd_float());
        } else if (tensor.scales.count > 0) {
          u32(tensor.scales.first - 4, static_cast<uint32_t>(pick(tensor.scales.count)));
        } else if (tensor.zero_points.count > 0) {
          u32(tensor.zero_points.first, static_cast<uint32_t>(odd_number()));
        } else if (tensor.quantized_dimension != 0) {
          u32(tensor.quantized_dimension, static_cast<uint32_t>(range(-1, 4)));
        }
        break;
      case 11:
        // Sizes that the host is safe with.
        if (!map_.pads.empty() && range(0, 1) == 0) {
          u32(map_.pads[pick(map_.pads.size())], static_cast<uint32_t>(range(0, 5)));
        } else if (!map_.pools.empty()) {
          u32(map_.pools[pick(map_.pools.size())], static_cast<uint32_t>(range(1, 6)));
        }
        break;
      default:
        if (map_.metadata.empty()) break;
        {
          const size_t entry = pick(map_.metadata.size());
          const MappedVector& data = map_.metadata_data[entry];
          if (range(0, 2) == 0) {
            u32(map_.metadata[entry].first, static_cast<uint32_t>(odd_number()));
          } else if (range(0, 1) == 0 && data.count > 0) {
            map_.file[data.first + pick(data.count)] = from_.ConsumeIntegral<uint8_t>();
          } else if (map_.metadata[entry].second.count > 0) {
            const MappedVector& name = map_.metadata[entry].second;
            map_.file[name.first + pick(name.count)] = from_.ConsumeIntegral<uint8_t>();
          }
        }
    }
  }

  FuzzedDataProvider& from_;
  ModelMap& map_;
  bool tellable_ = true;
};

// Whether the host is asked for much memory or gets what is known to crash it: see
// docs/security.md. Constants are not its own: nothing is allocated for them.
bool is_the_hosts_problem(const ModelMap& map) {
  for (const MappedTensor& tensor : map.tensors) {
    uint32_t length = 0;
    std::memcpy(&length, map.file.data() + tensor.shape.first - 4, 4);
    int64_t count = 1;
    for (uint32_t i = 0; i < std::min(length, tensor.shape.count); ++i) {
      int32_t size = 0;
      std::memcpy(&size, map.file.data() + tensor.shape.first + 4 * i, 4);
      if (tensor.data.count == 0 && (size < 0 || count > kMostElements / std::max(size, 1))) {
        return true;
      }
      count *= std::max(size, 1);
      count = std::min<int64_t>(count, int64_t{1} << 40);
    }
  }
  return false;
}

struct Outcome {
  bool created = false, allocated = false, answered = false;
  std::vector<float> output;
};

Outcome run(const std::vector<uint8_t>& file, const char* kernel, bool by_delegate) {
  const Host& h = host();
  Outcome outcome;
  void* model = h.model_create(file.data(), file.size());
  if (model == nullptr) return outcome;
  void* options = h.options_create();
  h.options_threads(options, 1);
  h.options_reporter(options, [](void*, const char*, va_list) {}, nullptr);
  TfLiteDelegate* delegate = nullptr;
  if (by_delegate) {
    delegate = qcnn_delegate_create(kernel, 0);
    h.options_delegate(options, delegate);
  } else if (qcnn_register_ops_with(h.add_custom, h.add_builtin, options, kernel, 0) != QCNN_OK) {
    fail("the ops cannot be registered", kernel);
  }
  void* interpreter = h.interpreter_create(model, options);
  outcome.created = interpreter != nullptr;
  outcome.allocated = outcome.created && h.allocate(interpreter) == 0;
  if (outcome.allocated) {
    for (int32_t i = 0; i < h.input_count(interpreter); ++i) {
      void* input = h.input(interpreter, i);
      auto* values = static_cast<uint8_t*>(h.data(input));
      const size_t bytes = values == nullptr ? 0 : h.byte_size(input);
      for (size_t j = 0; j + 4 <= bytes; j += 4) {
        const float value = static_cast<float>(static_cast<int>(j * 7 % 61) - 30) / 16;
        std::memcpy(values + j, &value, 4);
      }
    }
    outcome.answered = h.invoke(interpreter) == 0;
  }
  if (outcome.answered) {
    const void* output = h.output(interpreter, 0);
    const void* values = output == nullptr ? nullptr : h.data(output);
    if (values != nullptr) {
      outcome.output.resize(h.byte_size(output) / 4);
      std::memcpy(outcome.output.data(), values, outcome.output.size() * 4);
    }
  }
  if (interpreter != nullptr) h.interpreter_delete(interpreter);
  h.options_delete(options);
  h.model_delete(model);
  qcnn_delegate_delete(delegate);
  return outcome;
}

const std::vector<ModelMap>& models() {
  static const std::vector<ModelMap> all = [] {
    std::vector<ModelMap> read;
    for (const char* name : {"conv", "int8", "fc", "lrn", "network", "pooling"}) {
      read.push_back(map_model(std::string(QCNN_FUZZ_DIR "/models/") + name + ".tflite"));
    }
    return read;
  }();
  return all;
}

void fuzz(const uint8_t* data, size_t size) {
  FuzzedDataProvider from(data, size);
  // The network of several layers takes longer.
  const size_t which = from.PickValueInArray<size_t>({0, 0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 5});
  const bool by_delegate = from.ConsumeBool();
  const size_t first = from.ConsumeIntegralInRange<size_t>(0, 8);
  ModelMap map = models()[which];
  const bool tellable = Stranger(&from, &map).run();
  // Exactly as large as the file, so that every read behind it is seen.
  const std::vector<uint8_t> file(map.file.begin(), map.file.end());
  if (const char* path = std::getenv("QCNN_FUZZ_SAVE")) {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(file.data()),
               static_cast<std::streamsize>(file.size()));
  }
  QcnnModelInfo info;
  (void)qcnn_check_model(file.data(), file.size(), &info);
  const char* json = nullptr;
  size_t json_size = 0;
  (void)qcnn_read_metadata(file.data(), file.size(), &json, &json_size);
  if (is_the_hosts_problem(map)) return;

  std::vector<const char*> kernels;
  const char *name = nullptr, *features = nullptr;
  int available = 0;
  for (size_t i = 0; qcnn_kernels(i, &name, &features, &available) == QCNN_OK; ++i) {
    if (available) kernels.push_back(name);
  }
  const Outcome wanted = run(file, "reference", by_delegate);
  const char* kernel = kernels[first % kernels.size()];
  const Outcome outcome = run(file, kernel, by_delegate);
  // Where a window does not fit the host pools to nothing, and we refuse it.
  if (wanted.answered && wanted.output.empty()) return;
  if (outcome.allocated != wanted.allocated || outcome.answered != wanted.answered ||
      outcome.output.size() != wanted.output.size()) {
    fail("kernels disagree about the model", kernel);
  }
  if (!tellable) return;
  float most = 0, worst = 0;
  for (size_t i = 0; i < wanted.output.size(); ++i) {
    most = std::max(most, std::abs(wanted.output[i]));
    worst = std::max(worst, std::abs(outcome.output[i] - wanted.output[i]));
  }
  // An activation that clips, which only a change has brought into these models, hides how large
  // the sums were, and so how exact.
  if (most == 1.0f || most == 6.0f) return;
  // Far above what rounding does to these models.
  if (most < 1e6f && !(worst <= 0.1f * most + 0.1f)) {
    fail("the answer strays",
         std::string(kernel) + ": " + std::to_string(worst) + " of " + std::to_string(most));
  }
}

}  // namespace
}  // namespace qcnn

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  qcnn::fuzz(data, size);
  return 0;
}
