// A converted model in a real TensorFlow Lite C library (QCNN_TFLITE_C), both ways in.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "qcnn/qcnn_ops.h"

namespace {

// golden/small.tflite: one QConv and one QFC; golden/small.txt: its input, then the output of the
// float model with the decoded weights, both as the Python half computed them.
std::vector<char> read_model() {
  std::ifstream file(QCNN_TEST_DIR "/golden/small.tflite", std::ios::binary);
  return std::vector<char>(std::istreambuf_iterator<char>(file), {});
}

class TfLiteC : public testing::Test {
 protected:
  void SetUp() override {
    const std::string path = QCNN_TFLITE_C;
    if (path.empty()) GTEST_SKIP() << "no libtensorflowlite_c.so was named (QCNN_TFLITE_C)";
    library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    ASSERT_NE(library_, nullptr) << dlerror();
    std::ifstream file(QCNN_TEST_DIR "/golden/small.txt");
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
  void run(Configure configure) {
    const auto model_bytes = read_model();
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
    EXPECT_LE(worst, 1e-4f * largest);
    get<void (*)(P)>("TfLiteInterpreterDelete")(interpreter);
    get<void (*)(P)>("TfLiteInterpreterOptionsDelete")(options);
    get<void (*)(P)>("TfLiteModelDelete")(model);
  }

  void* library_ = nullptr;
  std::vector<float> input_, expected_;
};

TEST_F(TfLiteC, RegisteredOps) {
  run([](void* options) { ASSERT_EQ(qcnn_register_ops(options, 0), QCNN_OK); });
}

TEST_F(TfLiteC, Delegate) {
  TfLiteDelegate* delegate = qcnn_delegate_create("auto");
  ASSERT_NE(delegate, nullptr);
  run([&](void* options) {
    get<void (*)(void*, void*)>("TfLiteInterpreterOptionsAddDelegate")(options, delegate);
  });
  qcnn_delegate_delete(delegate);
}

}  // namespace
