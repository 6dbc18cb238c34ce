// A converted model in a real TensorFlow Lite C library (QCNN_TFLITE_C), both ways in.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "qcnn/qcnn_ops.h"
#include "qcnn/tflite_abi.h"
#include "tests/c_library.h"

namespace {

// golden/small.tflite: one QConv and one QFC, its answer that of the decoded weights;
// golden/lrn.tflite: one LOCAL_RESPONSE_NORMALIZATION; golden/q/pooling.tflite: both with max
// pooling.
class TfLiteC : public qcnn::WithCLibrary {
 protected:
  // Runs the model with options that `configure` has changed.
  template <typename Configure>
  void run(const std::string& name, float tolerance, Configure configure) {
    const qcnn::Golden golden = qcnn::read_golden(name);
    using P = void*;
    P model = get<P (*)(const void*, size_t)>("TfLiteModelCreate")(golden.model.data(),
                                                                   golden.model.size());
    ASSERT_NE(model, nullptr);
    P options = get<P (*)()>("TfLiteInterpreterOptionsCreate")();
    get<void (*)(P, int32_t)>("TfLiteInterpreterOptionsSetNumThreads")(options, 2);
    configure(options);
    P interpreter = get<P (*)(P, P)>("TfLiteInterpreterCreate")(model, options);
    ASSERT_NE(interpreter, nullptr);
    ASSERT_EQ(get<int (*)(P)>("TfLiteInterpreterAllocateTensors")(interpreter), 0);
    P in = get<P (*)(P, int32_t)>("TfLiteInterpreterGetInputTensor")(interpreter, 0);
    ASSERT_EQ(get<int (*)(P, const void*, size_t)>("TfLiteTensorCopyFromBuffer")(
                  in, golden.input.data(), golden.input.size() * 4),
              0);
    ASSERT_EQ(get<int (*)(P)>("TfLiteInterpreterInvoke")(interpreter), 0);
    const void* out =
        get<const void* (*)(P, int32_t)>("TfLiteInterpreterGetOutputTensor")(interpreter, 0);
    std::vector<float> output(golden.expected.size());
    ASSERT_EQ(get<int (*)(const void*, void*, size_t)>("TfLiteTensorCopyToBuffer")(
                  out, output.data(), output.size() * 4),
              0);
    float largest = 0, worst = 0;
    for (size_t i = 0; i < output.size(); ++i) {
      largest = std::max(largest, std::abs(golden.expected[i]));
      worst = std::max(worst, std::abs(output[i] - golden.expected[i]));
    }
    EXPECT_LE(worst, tolerance * largest);
    get<void (*)(P)>("TfLiteInterpreterDelete")(interpreter);
    get<void (*)(P)>("TfLiteInterpreterOptionsDelete")(options);
    get<void (*)(P)>("TfLiteModelDelete")(model);
  }
};

// Of a sum in another order; of quantized tables, which are good for 0.5 % of the whole response;
// of the LRN kernels.
constexpr float kSums = 1e-4f, kTables = 2e-2f, kRoots = 1e-5f;

TEST_F(TfLiteC, RegisteredOps) {
  run("small", kTables, [](void* options) { ASSERT_EQ(qcnn_register_ops(options, 0), QCNN_OK); });
}

// The reference kernel is the only one that does not round its tables: had another run, the answer
// would not be within kSums.
TEST_F(TfLiteC, EveryKernel) {
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
    run("q/pooling", exact ? kSums : kTables, registered);
    TfLiteDelegate* delegate = qcnn_delegate_create(name, 0);
    ASSERT_NE(delegate, nullptr);
    run("q/pooling", exact ? kSums : kTables, [&](void* options) {
      get<void (*)(void*, void*)>("TfLiteInterpreterOptionsAddDelegate")(options, delegate);
    });
    qcnn_delegate_delete(delegate);
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
