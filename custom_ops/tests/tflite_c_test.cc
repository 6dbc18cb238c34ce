// A converted model in a real TensorFlow Lite C library (QCNN_TFLITE_C), both ways in.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "qcnn/qcnn_ops.h"
#include "qcnn/tflite_abi.h"

namespace {

// golden/small.tflite: one QConv and one QFC; golden/lrn.tflite: one LOCAL_RESPONSE_NORMALIZATION.
// The text beside each: its input, then the output of the stock runtime, of small.tflite with the
// decoded weights.
std::vector<char> read_model(const std::string& name) {
  std::ifstream file(QCNN_TEST_DIR "/golden/" + name + ".tflite", std::ios::binary);
  return std::vector<char>(std::istreambuf_iterator<char>(file), {});
}

class TfLiteC : public testing::Test {
 protected:
  void SetUp() override {
    const std::string path = QCNN_TFLITE_C;
    if (path.empty()) GTEST_SKIP() << "no libtensorflowlite_c.so was named (QCNN_TFLITE_C)";
    library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    ASSERT_NE(library_, nullptr) << dlerror();
  }

  void read_values(const std::string& name) {
    std::ifstream file(QCNN_TEST_DIR "/golden/" + name + ".txt");
    size_t count = 0;
    for (auto* values : {&input_, &expected_}) {
      file >> count;
      values->resize(count);
      for (float& value : *values) file >> value;
    }
    ASSERT_TRUE(file.good() || file.eof());
    ASSERT_GT(expected_.size(), 1u);
  }

  template <typename Function>
  Function get(const char* name) {
    void* symbol = dlsym(library_, name);
    EXPECT_NE(symbol, nullptr) << name;
    return reinterpret_cast<Function>(symbol);
  }

  // Runs the model with options that `configure` has changed.
  template <typename Configure>
  void run(const std::string& name, float tolerance, Configure configure) {
    read_values(name);
    const auto model_bytes = read_model(name);
    using P = void*;
    P model = get<P (*)(const void*, size_t)>("TfLiteModelCreate")(model_bytes.data(),
                                                                   model_bytes.size());
    ASSERT_NE(model, nullptr);
    P options = get<P (*)()>("TfLiteInterpreterOptionsCreate")();
    get<void (*)(P, int32_t)>("TfLiteInterpreterOptionsSetNumThreads")(options, 2);
    configure(options);
    P interpreter = get<P (*)(P, P)>("TfLiteInterpreterCreate")(model, options);
    ASSERT_NE(interpreter, nullptr);
    ASSERT_EQ(get<int (*)(P)>("TfLiteInterpreterAllocateTensors")(interpreter), 0);
    P in = get<P (*)(P, int32_t)>("TfLiteInterpreterGetInputTensor")(interpreter, 0);
    ASSERT_EQ(get<int (*)(P, const void*, size_t)>("TfLiteTensorCopyFromBuffer")(in, input_.data(),
                                                                                 input_.size() * 4),
              0);
    ASSERT_EQ(get<int (*)(P)>("TfLiteInterpreterInvoke")(interpreter), 0);
    const void* out =
        get<const void* (*)(P, int32_t)>("TfLiteInterpreterGetOutputTensor")(interpreter, 0);
    std::vector<float> output(expected_.size());
    ASSERT_EQ(get<int (*)(const void*, void*, size_t)>("TfLiteTensorCopyToBuffer")(
                  out, output.data(), output.size() * 4),
              0);
    float largest = 0, worst = 0;
    for (size_t i = 0; i < output.size(); ++i) {
      largest = std::max(largest, std::abs(expected_[i]));
      worst = std::max(worst, std::abs(output[i] - expected_[i]));
    }
    EXPECT_LE(worst, tolerance * largest);
    get<void (*)(P)>("TfLiteInterpreterDelete")(interpreter);
    get<void (*)(P)>("TfLiteInterpreterOptionsDelete")(options);
    get<void (*)(P)>("TfLiteModelDelete")(model);
  }

  void* library_ = nullptr;
  std::vector<float> input_, expected_;
};

// Of a sum in another order; of quantized tables, which are good for 0.5 % of the whole response;
// of the LRN kernels.
constexpr float kSums = 1e-4f, kTables = 2e-2f, kRoots = 1e-5f;

TEST_F(TfLiteC, RegisteredOps) {
  run("small", kTables, [](void* options) { ASSERT_EQ(qcnn_register_ops(options, 0), QCNN_OK); });
}

// The reference kernel is the only one that does not round its tables: had another run, the answer
// would not be within kSums.
TEST_F(TfLiteC, RegisteredOpsOfAKernel) {
  const auto add_custom = get<QcnnAddCustomOp>("TfLiteInterpreterOptionsAddCustomOp");
  const auto add_builtin = get<QcnnAddBuiltinOp>("TfLiteInterpreterOptionsAddBuiltinOp");
  const char *name = nullptr, *features = nullptr;
  int available = 0;
  for (size_t i = 0; qcnn_kernels(i, &name, &features, &available) == QCNN_OK; ++i) {
    if (!available) continue;
    SCOPED_TRACE(name);
    const bool exact = std::string(name) == "reference";
    const auto registered = [&](void* options) {
      ASSERT_EQ(qcnn_register_ops_with(add_custom, add_builtin, options, name, 0), QCNN_OK);
    };
    run("small", exact ? kSums : kTables, registered);
    run("lrn", kRoots, registered);
  }
}

TEST_F(TfLiteC, Delegate) {
  TfLiteDelegate* delegate = qcnn_delegate_create("reference", 0);
  ASSERT_NE(delegate, nullptr);
  run("small", kSums, [&](void* options) {
    get<void (*)(void*, void*)>("TfLiteInterpreterOptionsAddDelegate")(options, delegate);
  });
  qcnn_delegate_delete(delegate);
}

// Our LRN registration with an invoke that counts; the host's own op never calls it.
int lrn_calls = 0;
TfLiteRegistration counting_lrn;
QcnnAddBuiltinOp add_builtin_of_host = nullptr;

void add_counting_lrn(void* options, int32_t code, const void* registration, int32_t low,
                      int32_t high) {
  counting_lrn = *static_cast<const TfLiteRegistration*>(registration);
  static TfLiteStatus (*invoke)(TfLiteContext*, TfLiteNode*) = nullptr;
  invoke = counting_lrn.invoke;
  counting_lrn.invoke = [](TfLiteContext* context, TfLiteNode* node) {
    ++lrn_calls;
    return invoke(context, node);
  };
  add_builtin_of_host(options, code, &counting_lrn, low, high);
}

TEST_F(TfLiteC, RegisteredLrnReplacesTheBuiltinOne) {
  const auto add_custom = get<QcnnAddCustomOp>("TfLiteInterpreterOptionsAddCustomOp");
  add_builtin_of_host = get<QcnnAddBuiltinOp>("TfLiteInterpreterOptionsAddBuiltinOp");
  for (uint32_t flags : {0u, uint32_t{QCNN_WITHOUT_LRN}}) {
    lrn_calls = 0;
    run("lrn", kRoots, [&](void* options) {
      ASSERT_EQ(qcnn_register_ops_with(add_custom, add_counting_lrn, options, "auto", flags),
                QCNN_OK);
    });
    EXPECT_EQ(lrn_calls, flags == 0 ? 1 : 0);
  }
  run("lrn", kRoots, [](void* options) { ASSERT_EQ(qcnn_register_ops(options, 0), QCNN_OK); });
}

TEST_F(TfLiteC, LrnOfTheDelegate) {
  for (uint32_t flags : {0u, uint32_t{QCNN_WITHOUT_LRN}}) {
    TfLiteDelegate* delegate = qcnn_delegate_create(nullptr, flags);
    ASSERT_NE(delegate, nullptr);
    run("lrn", kRoots, [&](void* options) {
      get<void (*)(void*, void*)>("TfLiteInterpreterOptionsAddDelegate")(options, delegate);
    });
    qcnn_delegate_delete(delegate);
  }
}

}  // namespace
