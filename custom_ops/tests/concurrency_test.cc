// Interpreters made, run and deleted by several threads at once, in a real TensorFlow Lite C
// library (QCNN_TFLITE_C); for -DQCNN_SANITIZE=thread, too.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "qcnn/qcnn_ops.h"
#include "qcnn/tflite_abi.h"
#include "tests/c_library.h"

namespace {

using P = void*;

class Concurrency : public qcnn::WithCLibrary {
 protected:
  void SetUp() override {
    qcnn::WithCLibrary::SetUp();
    for (const char* name :
         {"small", "lrn", "q/conv-groups", "q/fc-wide", "q/network", "q/pooling"}) {
      models_.push_back(qcnn::read_golden(name));
    }
  }

  // An interpreter with a delegate, or with registered ops where there is none.
  P make(P model, TfLiteDelegate* delegate, int threads) {
    P options = get<P (*)()>("TfLiteInterpreterOptionsCreate")();
    get<void (*)(P, int32_t)>("TfLiteInterpreterOptionsSetNumThreads")(options, threads);
    if (delegate != nullptr) {
      get<void (*)(P, P)>("TfLiteInterpreterOptionsAddDelegate")(options, delegate);
    } else {
      EXPECT_EQ(qcnn_register_ops(options, 0), QCNN_OK);
    }
    P interpreter = get<P (*)(P, P)>("TfLiteInterpreterCreate")(model, options);
    get<void (*)(P)>("TfLiteInterpreterOptionsDelete")(options);
    return interpreter;
  }
  P load(const qcnn::Golden& golden) {
    return get<P (*)(const void*, size_t)>("TfLiteModelCreate")(golden.model.data(),
                                                                golden.model.size());
  }
  void unload(P model) { get<void (*)(P)>("TfLiteModelDelete")(model); }
  void destroy(P interpreter) { get<void (*)(P)>("TfLiteInterpreterDelete")(interpreter); }

  // Whether an interpreter answers as it should.
  bool answers(const qcnn::Golden& golden, P interpreter) {
    if (interpreter == nullptr) return false;
    if (get<int (*)(P)>("TfLiteInterpreterAllocateTensors")(interpreter) != 0) return false;
    P in = get<P (*)(P, int32_t)>("TfLiteInterpreterGetInputTensor")(interpreter, 0);
    const auto copy = get<int (*)(P, const void*, size_t)>("TfLiteTensorCopyFromBuffer");
    if (copy(in, golden.input.data(), golden.input.size() * 4) != 0) return false;
    for (int i = 0; i < 3; ++i) {
      if (get<int (*)(P)>("TfLiteInterpreterInvoke")(interpreter) != 0) return false;
    }
    std::vector<float> output(golden.expected.size());
    const void* out =
        get<const void* (*)(P, int32_t)>("TfLiteInterpreterGetOutputTensor")(interpreter, 0);
    get<int (*)(const void*, void*, size_t)>("TfLiteTensorCopyToBuffer")(out, output.data(),
                                                                         output.size() * 4);
    double error = 0, norm = 0;
    for (size_t i = 0; i < output.size(); ++i) {
      error += std::pow(output[i] - golden.expected[i], 2);
      norm += std::pow(golden.expected[i], 2);
    }
    return error <= 1e-4 * norm;
  }

  std::vector<qcnn::Golden> models_;
};

TEST_F(Concurrency, ManyInterpretersOfSeveralThreads) {
  TfLiteDelegate* shared = qcnn_delegate_create(nullptr, 0);
  ASSERT_NE(shared, nullptr);
  std::atomic<int> good{0};
  const auto work = [&](int worker) {
    for (int round = 0; round < 20; ++round) {
      const qcnn::Golden& golden = models_[static_cast<size_t>(worker + round) % models_.size()];
      P model = load(golden);
      // Every third has a delegate of its own, every third none.
      TfLiteDelegate* own = round % 3 == 1 ? qcnn_delegate_create(nullptr, 0) : nullptr;
      P interpreter = make(model, round % 3 == 0 ? shared : own, 1 + (worker + round) % 4);
      good += answers(golden, interpreter);
      if (round % 2) unload(model);  // interpreters keep what they need of it
      destroy(interpreter);
      if (round % 2 == 0) unload(model);
      if (own != nullptr) qcnn_delegate_delete(own);
    }
  };
  std::vector<std::thread> workers;
  for (int worker = 0; worker < 4; ++worker) workers.emplace_back(work, worker);
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(good.load(), 4 * 20);
  qcnn_delegate_delete(shared);
  size_t packed = 1, scratch = 1;
  qcnn_memory(&packed, &scratch);
  EXPECT_EQ(packed + scratch, 0u);  // all of it was given back
}

// An interpreter may be made by one thread, run by a second and deleted by a third.
TEST_F(Concurrency, AnInterpreterWandersBetweenThreads) {
  for (const qcnn::Golden& golden : models_) {
    P model = load(golden), interpreter = nullptr;
    bool good = false;
    std::thread([&] { interpreter = make(model, nullptr, 3); }).join();
    std::thread([&] { good = answers(golden, interpreter); }).join();
    std::thread([&] { destroy(interpreter); }).join();
    EXPECT_TRUE(good);
    unload(model);
  }
}

TEST_F(Concurrency, OneDelegateServesSeveralModelsInEveryOrderOfTeardown) {
  TfLiteDelegate* delegate = qcnn_delegate_create(nullptr, 0);
  for (int order = 0; order < 3; ++order) {
    std::vector<P> loaded, made;
    for (const qcnn::Golden& golden : models_) {
      loaded.push_back(load(golden));
      made.push_back(make(loaded.back(), delegate, 2));
    }
    for (size_t i = 0; i < models_.size(); ++i) EXPECT_TRUE(answers(models_[i], made[i]));
    for (size_t i = 0; i < made.size(); ++i) {
      const size_t next = order == 0 ? i : order == 1 ? made.size() - 1 - i : (i + 2) % made.size();
      destroy(made[next]);
      for (size_t j = 0; j < made.size(); ++j) {
        if (j == next) made[j] = nullptr;
        if (made[j] != nullptr) {
          EXPECT_TRUE(answers(models_[j], made[j]));
        }
      }
    }
    for (P model : loaded) unload(model);
  }
  qcnn_delegate_delete(delegate);
}

}  // namespace
