// The op glue through a stand-in host: what Prepare accepts and refuses, and what Invoke answers.
#include "tflite/ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <sstream>

#include "host.h"
#include "qcnn/qcnn_ops.h"
#include "random_layer.h"
#include "tflite/lrn_op.h"

namespace qcnn {
namespace {

std::map<std::string, std::vector<uint8_t>> golden_options() {
  std::map<std::string, std::vector<uint8_t>> all;
  std::ifstream file(QCNN_TEST_DIR "/golden/options.txt");
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string op, hex;
    words >> op >> hex;
    if (all.count(op) || (op != "QConv" && op != "QFC")) continue;
    for (size_t i = 0; i + 1 < hex.size(); i += 2) {
      all[op].push_back(static_cast<uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    }
  }
  return all;
}

// The first QFC of golden/options.txt: 10 inputs, 6 outputs, 3 bits, RELU, keep_num_dims 0; d = 4.
class Fc : public testing::Test {
 protected:
  Fc() {
    std::mt19937 random(5);
    codes = random_codes(&random, {10, 6, 1, 1, 7, 4, 1, true, true});
    // The last subspace has 2 of 4 channels; what stands behind them must not matter.
    std::vector<uint8_t> packed(3 * 3, 0);  // 6 codes of 3 bits: 18 bits in 3 bytes a row
    for (size_t i = 0; i < codes.codes.size(); ++i) {
      for (size_t b = 0; b < 3; ++b) {
        const size_t at = i % 6 * 3 + b;
        if (codes.codes[i] >> b & 1) packed[i / 6 * 3 + at / 8] |= uint8_t(1u << at % 8);
      }
    }
    host.constant(1, {3, 7, 4}, codes.codebooks, kTfLiteFloat32);
    host.constant(2, {3, 3}, packed, kTfLiteUInt8);
    host.constant(3, {6}, codes.bias, kTfLiteFloat32);
    host.constant(4, {6}, codes.scale, kTfLiteFloat32);
    values = random_floats(&random, 20);
    host.input({2, 10}, values);
    host.set(5, {1}, std::vector<uint8_t>(4), kTfLiteFloat32, kTfLiteArenaRw);
    options = golden_options().at("QFC");
  }

  TfLiteStatus prepare() {
    op.reset(new Op(OpKind::kFc, select_kernel("auto"), options.data(), options.size()));
    return op->prepare(host.context(), inputs, {5});
  }
  void expect_refused(const char* part) {
    EXPECT_EQ(prepare(), kTfLiteError);
    EXPECT_NE(host.error.find(part), std::string::npos) << host.error;
    EXPECT_EQ(host.error.back(), '.');
  }

  Host host;
  Codes codes;
  std::vector<float> values;
  std::vector<uint8_t> options;
  std::vector<int> inputs = {0, 1, 2, 3, 4};
  std::unique_ptr<Op> op;
};

TEST_F(Fc, AnswersAsTheDecodedWeights) {
  ASSERT_EQ(prepare(), kTfLiteOk) << host.error;
  ASSERT_EQ(op->invoke(host.context()), kTfLiteOk);
  const auto expected = naive_fc({2, 10, 6, Activation::kRelu}, codes, values.data()).output;
  ASSERT_EQ(host[5].bytes, expected.size() * 4);
  EXPECT_EQ(host[5].dims->size, 2);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(static_cast<float*>(host[5].data)[i], expected[i], 1e-4);
  }
}

TEST_F(Fc, FollowsAResizedInput) {
  ASSERT_EQ(prepare(), kTfLiteOk);
  const auto more = std::vector<float>(50, 1.0f);
  host.input({5, 10}, more);
  ASSERT_EQ(op->prepare(host.context(), inputs, {5}), kTfLiteOk);
  ASSERT_EQ(op->invoke(host.context()), kTfLiteOk);
  EXPECT_EQ(host[5].dims->data[0], 5);
}

TEST_F(Fc, AnInputOfUnknownShapeIsPlannedInInvoke) {
  host[0].allocation_type = kTfLiteDynamic;
  host[5].data = nullptr;
  ASSERT_EQ(prepare(), kTfLiteOk) << host.error;
  EXPECT_EQ(host[5].allocation_type, kTfLiteDynamic);
  ASSERT_EQ(op->invoke(host.context()), kTfLiteOk) << host.error;
  const auto expected = naive_fc({2, 10, 6, Activation::kRelu}, codes, values.data()).output;
  EXPECT_NEAR(static_cast<float*>(host[5].data)[3], expected[3], 1e-4);
}

TEST_F(Fc, BiasAndScaleMayBeAbsent) {
  inputs = {0, 1, 2, -1, -1};
  ASSERT_EQ(prepare(), kTfLiteOk) << host.error;
  codes.bias.clear();
  codes.scale.clear();
  ASSERT_EQ(op->invoke(host.context()), kTfLiteOk);
  const auto expected = naive_fc({2, 10, 6, Activation::kRelu}, codes, values.data()).output;
  EXPECT_NEAR(static_cast<float*>(host[5].data)[7], expected[7], 1e-4);
}

TEST_F(Fc, TooFewInputs) {
  inputs = {0, 1, 2};
  expect_refused("expected five inputs");
}
TEST_F(Fc, TensorsThatDoNotExist) {
  inputs = {0, 1, 99, 3, 4};
  expect_refused("does not exist");
  host.error.clear();
  inputs = {0, -1, 2, 3, 4};
  expect_refused("does not exist");
}
TEST_F(Fc, CodesThatAreNoConstant) {
  host[2].allocation_type = kTfLiteArenaRw;
  expect_refused("not a constant");
}
TEST_F(Fc, ConstantsWithoutMemory) {
  host[1].data = nullptr;
  expect_refused("not a constant");
}
TEST_F(Fc, FewerBytesThanTheShapeSays) {
  host.constant(1, {3, 7, 4}, std::vector<float>(83), kTfLiteFloat32);
  expect_refused("not what its shape says");
}
TEST_F(Fc, AShapeThatOverflows) {
  host[1].dims->data[0] = std::numeric_limits<int>::max();
  host[1].dims->data[2] = std::numeric_limits<int>::max();
  expect_refused("not what its shape says");
}
TEST_F(Fc, NegativeAndZeroDimensions) {
  host[2].dims->data[0] = -3;
  expect_refused("not what its shape says");
  host.error.clear();
  host[2].dims->data[0] = 0;
  expect_refused("not what its shape says");
}
TEST_F(Fc, CodebooksOfAnotherType) {
  host[1].type = kTfLiteInt32;
  expect_refused("float32, float16 or int8");
}
TEST_F(Fc, Int8CodebooksWithoutScales) {
  host.constant(1, {3, 7, 4}, std::vector<int8_t>(84, 1), kTfLiteInt8);
  expect_refused("positive scale");
}
TEST_F(Fc, AWrongNumberOfCodebooks) {
  host.constant(1, {2, 7, 4}, std::vector<float>(56), kTfLiteFloat32);
  expect_refused("codebooks, got 2");
}
TEST_F(Fc, CodewordsThatDoNotFitTheBits) {
  host.constant(1, {3, 9, 4}, std::vector<float>(108), kTfLiteFloat32);
  expect_refused("do not fit codes of 3 bits");
}
TEST_F(Fc, NanAndInfinityInConstants) {
  auto damaged = codes.codebooks;
  damaged[40] = std::numeric_limits<float>::quiet_NaN();
  host.constant(1, {3, 7, 4}, damaged, kTfLiteFloat32);
  expect_refused("NaN or infinite");
  host.error.clear();
  host.constant(1, {3, 7, 4}, codes.codebooks, kTfLiteFloat32);
  auto bias = codes.bias;
  bias[5] = std::numeric_limits<float>::infinity();
  host.constant(3, {6}, bias, kTfLiteFloat32);
  expect_refused("NaN or infinite");
}
TEST_F(Fc, ABiasOfAnotherLength) {
  host.constant(3, {5}, std::vector<float>(5), kTfLiteFloat32);
  expect_refused("expected 6 float32 values of bias");
}
TEST_F(Fc, CodesBehindTheCodebook) {
  static_cast<uint8_t*>(host[2].data)[4] = 0xff;
  expect_refused("behind its codebook");
}
TEST_F(Fc, TailBits) {
  static_cast<uint8_t*>(host[2].data)[2] |= 0x80;
  expect_refused("behind the last code");
}
TEST_F(Fc, AnInputThatDoesNotDivide) {
  host.input({3, 7}, std::vector<float>(21));
  expect_refused("expected an input of 10 values a row");
}
TEST_F(Fc, AnEmptyInput) {
  host[0].dims->data[0] = 0;
  expect_refused("empty");
}
// Its output, made smaller than the input, would have been read as the input (fuzz target qconv).
TEST_F(Fc, AnInputThatIsItsOutput) {
  for (TfLiteAllocationType allocation : {kTfLiteArenaRw, kTfLiteDynamic}) {
    host[0].allocation_type = allocation;
    inputs[0] = 5;
    host.set(5, {2, 10}, std::vector<uint8_t>(80), kTfLiteFloat32, allocation);
    expect_refused("its output is one of its inputs");
    host.error.clear();
  }
}
TEST_F(Fc, AnInputOfAnotherType) {
  host[0].type = kTfLiteInt8;
  expect_refused("float32");
}
// As a constant that is marked sparse: the host does not compare its bytes with its shape.
TEST_F(Fc, AnInputWithLessMemoryThanItsShapeSays) {
  host.set(0, {2, 10}, std::vector<uint8_t>(76), kTfLiteFloat32, kTfLiteMmapRo);
  ASSERT_EQ(prepare(), kTfLiteOk) << host.error;
  EXPECT_EQ(op->invoke(host.context()), kTfLiteError);
  EXPECT_NE(host.error.find("less memory than its shape says"), std::string::npos) << host.error;
}
TEST_F(Fc, TypesOfNewerHosts) {
  host[1].type = static_cast<TfLiteType>(19);
  host[1].quantization.type = static_cast<TfLiteQuantizationType>(2);
  expect_refused("float32, float16 or int8");
  host.error.clear();
  host[0].type = static_cast<TfLiteType>(16);
  host[0].allocation_type = static_cast<TfLiteAllocationType>(8);
  expect_refused("must be float32");
}
TEST_F(Fc, NoOptions) {
  options.clear();
  expect_refused("FlexBuffers map");
}

TEST(Delegate, KnowsItsKernels) {
  TfLiteDelegate* delegate = qcnn_delegate_create("reference", QCNN_WITHOUT_LRN);
  ASSERT_NE(delegate, nullptr);
  EXPECT_EQ(delegate->flags & kTfLiteDelegateFlagsAllowDynamicTensors, 1);
  qcnn_delegate_delete(delegate);
  EXPECT_EQ(qcnn_delegate_create("no such kernel", 0), nullptr);
  EXPECT_EQ(qcnn_delegate_create("reference", 2), nullptr);
}

extern "C" TfLiteDelegate* tflite_plugin_create_delegate(const char* const*, const char* const*,
                                                         size_t, void (*)(const char*));
extern "C" void tflite_plugin_destroy_delegate(TfLiteDelegate*);

std::string reported;

TEST(Delegate, UnknownOptionsAreRefusedWithASentence) {
  const char* keys[] = {"kernels"};
  const char* values[] = {"auto"};
  const auto report = [](const char* message) { reported = message; };
  EXPECT_EQ(tflite_plugin_create_delegate(keys, values, 1, report), nullptr);
  EXPECT_NE(reported.find("no option 'kernels'; the options are: kernel, lrn"), std::string::npos);
  keys[0] = "lrn";
  EXPECT_EQ(tflite_plugin_create_delegate(keys, values, 1, report), nullptr);
  EXPECT_NE(reported.find("option 'lrn' is 'auto'; expected 0 or 1"), std::string::npos);
  keys[0] = "kernel";
  values[0] = "fastest";
  EXPECT_EQ(tflite_plugin_create_delegate(keys, values, 1, report), nullptr);
  EXPECT_NE(reported.find("no kernel 'fastest'"), std::string::npos);
  for (const Kernel* kernel : kernels()) {
    EXPECT_NE(reported.find(kernel->name), std::string::npos);
    const std::string lacking = std::string(kernel->name) + " (needs " + kernel->features;
    EXPECT_EQ(reported.find(lacking) == std::string::npos, kernel->available());
  }
  TfLiteDelegate* delegate = tflite_plugin_create_delegate(nullptr, nullptr, 0, nullptr);
  EXPECT_NE(delegate, nullptr);
  tflite_plugin_destroy_delegate(delegate);
}

// A local response normalization of two pixels of 5 channels.
class Normalization : public testing::Test {
 protected:
  Normalization() {
    std::mt19937 random(6);
    values = random_floats(&random, 10);
    host.input({1, 2, 1, 5}, values);
    host.set(5, {1}, std::vector<uint8_t>(4), kTfLiteFloat32, kTfLiteArenaRw);
  }
  TfLiteStatus prepare() {
    op.reset(new LrnOp(select_kernel("auto"), params));
    return op->prepare(host.context(), inputs, {5});
  }
  void expect_normalized() {
    ASSERT_EQ(host[5].bytes, values.size() * 4);
    ASSERT_EQ(host[5].dims->size, 4);
    for (int i = 0; i < static_cast<int>(values.size()); ++i) {
      double sum = 0;
      for (int c = std::max(i % 5 - 1, 0); c <= std::min(i % 5 + 1, 4); ++c) {
        const double x = values[static_cast<size_t>(i / 5 * 5 + c)];
        sum += x * x;
      }
      const double wanted = values[static_cast<size_t>(i)] * std::pow(2 + 0.5 * sum, -0.75);
      EXPECT_NEAR(static_cast<float*>(host[5].data)[i], wanted, 1e-5);
    }
  }
  void expect_refused(const char* part) {
    EXPECT_EQ(prepare(), kTfLiteError);
    EXPECT_NE(host.error.find(part), std::string::npos) << host.error;
    EXPECT_EQ(host.error.compare(0, 5, "LRN: "), 0);
    EXPECT_EQ(host.error.back(), '.');
  }

  Host host;
  std::vector<float> values;
  TfLiteLocalResponseNormParams params = {1, 2.0f, 0.5f, 0.75f};
  std::vector<int> inputs = {0};
  std::unique_ptr<LrnOp> op;
};

TEST_F(Normalization, Answers) {
  ASSERT_EQ(prepare(), kTfLiteOk) << host.error;
  ASSERT_EQ(op->invoke(host.context()), kTfLiteOk);
  expect_normalized();
}

// An empty batch must not hide the rest of the shape from the check of its size.
TEST_F(Normalization, AnEmptyBatchOfHugeImagesWithPooling) {
  host.set(0, {0, 1 << 20, 1 << 30, 1 << 30}, {}, kTfLiteFloat32, kTfLiteArenaRw);
  host.context()->recommended_num_threads = 64;
  Pooling pooling;
  pooling.size_h = pooling.size_w = pooling.stride_h = pooling.stride_w = 2;
  op.reset(new LrnOp(select_kernel("auto"), params, pooling));
  EXPECT_EQ(op->prepare(host.context(), inputs, {5}), kTfLiteError);
  EXPECT_NE(host.error.find("is too large"), std::string::npos) << host.error;
}

TEST_F(Normalization, NoScratchForATensorWithoutValues) {
  host.set(0, {0, 1 << 10, 1 << 10, 1 << 5}, {}, kTfLiteFloat32, kTfLiteArenaRw);
  Pooling pooling;
  pooling.size_h = pooling.size_w = 1 << 10;
  op.reset(new LrnOp(select_kernel("auto"), params, pooling));
  const size_t before = total_memory().scratch;
  ASSERT_EQ(op->prepare(host.context(), inputs, {5}), kTfLiteOk) << host.error;
  EXPECT_EQ(total_memory().scratch, before);
  EXPECT_EQ(op->invoke(host.context()), kTfLiteOk);
}

TEST_F(Normalization, DoesNotDependOnTheThreads) {
  std::mt19937 random(7);
  host.input({3, 40, 41, 5}, random_floats(&random, 3 * 40 * 41 * 5));
  std::vector<float> first;
  for (int threads : {1, 2, 3, 8, -1}) {
    host.context()->recommended_num_threads = threads;
    ASSERT_EQ(prepare(), kTfLiteOk) << host.error;
    ASSERT_EQ(op->invoke(host.context()), kTfLiteOk);
    const auto* output = static_cast<const float*>(host[5].data);
    const std::vector<float> now(output, output + host[5].bytes / 4);
    if (first.empty()) first = now;
    EXPECT_EQ(now, first);
  }
}

TEST_F(Normalization, FollowsAResizedInput) {
  ASSERT_EQ(prepare(), kTfLiteOk);
  std::mt19937 random(8);
  values = random_floats(&random, 45);
  host.input({3, 1, 3, 5}, values);
  ASSERT_EQ(op->prepare(host.context(), inputs, {5}), kTfLiteOk);
  ASSERT_EQ(op->invoke(host.context()), kTfLiteOk);
  expect_normalized();
}

TEST_F(Normalization, AnInputOfUnknownShapeIsPlannedInInvoke) {
  host[0].allocation_type = kTfLiteDynamic;
  host[5].data = nullptr;
  ASSERT_EQ(prepare(), kTfLiteOk) << host.error;
  EXPECT_EQ(host[5].allocation_type, kTfLiteDynamic);
  ASSERT_EQ(op->invoke(host.context()), kTfLiteOk) << host.error;
  expect_normalized();
}

TEST_F(Normalization, NoPixelsAndNoChannels) {
  for (const std::vector<int>& shape : {std::vector<int>{0, 2, 2, 5}, {2, 2, 2, 0}}) {
    host.input(shape, {});
    ASSERT_EQ(prepare(), kTfLiteOk) << host.error;
    EXPECT_EQ(op->invoke(host.context()), kTfLiteOk);
  }
}

TEST_F(Normalization, WhatIsRefused) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const TfLiteLocalResponseNormParams& bad :
       {TfLiteLocalResponseNormParams{-1, 1, 1, 1},
        TfLiteLocalResponseNormParams{1, infinity, 1, 1},
        TfLiteLocalResponseNormParams{1, 1, -infinity, 1},
        TfLiteLocalResponseNormParams{1, 1, 1, std::nanf("")}}) {
    params = bad;
    host.error.clear();
    expect_refused("not finite");
  }
  params = {1, 1, 1, 1};
  host.error.clear();
  host.input({2, 5}, values);
  expect_refused("expected an input [N,H,W,C], got rank 2");
  host.error.clear();
  host[0].type = kTfLiteInt8;
  expect_refused("float32");
  host.error.clear();
  inputs = {0, 1};
  expect_refused("one input");
  host.error.clear();
  inputs = {99};
  expect_refused("one input");
}

TEST(Registration, AddsTheOps) {
  static std::vector<std::string> names;
  const auto add = [](void*, const char* name, const void* registration, int32_t low,
                      int32_t high) {
    names.push_back(name);
    EXPECT_NE(static_cast<const TfLiteRegistration*>(registration)->prepare, nullptr);
    EXPECT_EQ(low, 1);
    EXPECT_EQ(high, 1);
  };
  const auto add_builtin = [](void*, int32_t code, const void* registration, int32_t low,
                              int32_t high) {
    names.push_back("builtin " + std::to_string(code));
    EXPECT_EQ(static_cast<const TfLiteRegistration*>(registration)->builtin_code, code);
    EXPECT_EQ(low, 1);
    EXPECT_EQ(high, 1);
  };
  const auto added = [&](QcnnAddBuiltinOp builtin, uint32_t flags) {
    int options = 0;
    names.clear();
    EXPECT_EQ(qcnn_register_ops_with(add, builtin, &options, nullptr, flags), QCNN_OK);
    return names;
  };
  const std::vector<std::string> without = {"QConv", "QFC"}, all = {"QConv", "QFC", "builtin 13"};
  EXPECT_EQ(added(add_builtin, 0), all);
  EXPECT_EQ(added(add_builtin, QCNN_WITHOUT_LRN), without);
  EXPECT_EQ(added(nullptr, 0), without);
  int options = 0;
  const auto refused = [&](QcnnAddCustomOp custom, void* to, const char* kernel, uint32_t flags) {
    names.clear();
    EXPECT_EQ(qcnn_register_ops_with(custom, add_builtin, to, kernel, flags),
              QCNN_INVALID_ARGUMENT);
    EXPECT_TRUE(names.empty());
  };
  refused(add, &options, nullptr, 2);
  refused(nullptr, &options, nullptr, 0);
  refused(add, nullptr, nullptr, 0);
  refused(add, &options, "no such kernel", 0);
  for (const Kernel* kernel : kernels()) {
    if (!kernel->available()) refused(add, &options, kernel->name, 0);
  }
}

}  // namespace
}  // namespace qcnn
