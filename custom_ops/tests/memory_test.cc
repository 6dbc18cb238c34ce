// Memory that ends, at every allocation that Prepare makes: the host is told, nothing is thrown at
// it.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <new>
#include <sstream>
#include <string>
#include <vector>

#include "core/kernels.h"
#include "tests/host.h"
#include "tflite/lrn_op.h"
#include "tflite/ops.h"

#if defined(__GNUC__) && !defined(__clang__)
// With sanitizers GCC inlines delete but not new, and misses that both are ours.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

namespace {

constexpr long kUnlimited = -1;
// Allocations that are left; from then on all fail, those for a message about it too.
std::atomic<long> left_over{kUnlimited};

void* allocate(std::size_t size) {
  long left = left_over.load();
  while (left > 0 && !left_over.compare_exchange_weak(left, left - 1)) {
  }
  return left == 0 ? nullptr : std::malloc(size == 0 ? 1 : size);
}

}  // namespace

void* operator new(std::size_t size) {
  if (void* memory = allocate(size)) return memory;
  throw std::bad_alloc();
}
void* operator new[](std::size_t size) { return operator new(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace qcnn {
namespace {

struct Indices {
  explicit Indices(const std::vector<int>& values) : bytes(sizeof(int) * (values.size() + 1)) {
    get()->size = static_cast<int>(values.size());
    std::copy(values.begin(), values.end(), get()->data);
  }
  TfLiteIntArray* get() { return reinterpret_cast<TfLiteIntArray*>(bytes.data()); }
  std::vector<char> bytes;
};

// What a registration is given: options, tensors, the node.
struct Layer {
  Host host;
  std::vector<char> options;
  Indices inputs{{0, 1, 2, 3, 4}}, outputs{{5}};
  TfLiteNode node = {};

  explicit Layer(int threads) {
    host.context()->recommended_num_threads = threads;
    host.set(5, {1}, std::vector<uint8_t>(4), kTfLiteFloat32, kTfLiteArenaRw);
    host.error.reserve(4096);
    node.inputs = inputs.get();
    node.outputs = outputs.get();
  }

  // Golden options of an op, those of its line `number`.
  void read_options(const std::string& wanted, int number) {
    std::ifstream file(QCNN_TEST_DIR "/golden/options.txt");
    std::string line, op, hex;
    while (number >= 0 && std::getline(file, line)) {
      std::istringstream(line) >> op >> hex;
      number -= op == wanted;
    }
    for (size_t i = 0; i + 1 < hex.size(); i += 2) {
      options.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    }
  }
  void constants(int M, int K, int d, int outputs_, int codes_bytes) {
    host.constant(1, {M, K, d}, std::vector<float>(static_cast<size_t>(M * K * d), 0.5f),
                  kTfLiteFloat32);
    host.constant(2, {M, codes_bytes}, std::vector<uint8_t>(static_cast<size_t>(M * codes_bytes)),
                  kTfLiteUInt8);
    for (int input : {3, 4}) {
      host.constant(input, {outputs_}, std::vector<float>(static_cast<size_t>(outputs_), 1.0f),
                    kTfLiteFloat32);
    }
  }
};

// Gives memory for 0, 1, 2... allocations until Prepare is content with it; returns how many that
// is.
long starve(const TfLiteRegistration& registration, Layer* layer, float answer) {
  for (long allowed = 0; allowed < 100000; ++allowed) {
    layer->host.error.clear();
    left_over = allowed;
    void* op =
        registration.init(layer->host.context(), layer->options.data(), layer->options.size());
    layer->node.user_data = op;
    const TfLiteStatus status = registration.prepare(layer->host.context(), &layer->node);
    const bool had_enough = left_over.load() > 0;
    left_over = kUnlimited;
    if (status != kTfLiteOk) {
      EXPECT_FALSE(layer->host.error.empty());
      // The host may try again, with more memory.
      if (op != nullptr) {
        EXPECT_EQ(registration.prepare(layer->host.context(), &layer->node), kTfLiteOk)
            << layer->host.error;
      }
    }
    if (op != nullptr) {
      EXPECT_EQ(registration.invoke(layer->host.context(), &layer->node), kTfLiteOk);
      const float got = static_cast<float*>(layer->host[5].data)[0];
      EXPECT_NEAR(got, answer, 1e-2f * answer);
      registration.free(layer->host.context(), op);
    }
    if (testing::Test::HasFailure()) return -1;
    if (status == kTfLiteOk && had_enough) return allowed;
  }
  ADD_FAILURE() << "never enough";
  return -1;
}

TEST(Memory, OfAFullyConnectedLayer) {
  for (size_t kernel = 0; kernel < kernels().size(); ++kernel) {
    if (!kernels()[kernel]->available()) continue;
    SCOPED_TRACE(kernels()[kernel]->name);
    Layer layer(3);
    layer.read_options("QFC", 0);
    layer.host.input({2, 10}, std::vector<float>(20, 1.0f));
    layer.constants(3, 7, 4, 6, 3);
    EXPECT_GT(starve(op_registration(OpKind::kFc, kernel), &layer, 10 * 0.5f + 1), 5);
  }
}

TEST(Memory, OfAConvolution) {
  for (size_t kernel = 0; kernel < kernels().size(); ++kernel) {
    if (!kernels()[kernel]->available()) continue;
    SCOPED_TRACE(kernels()[kernel]->name);
    Layer layer(1);  // 3 to 64 channels, 11x11, 8 bits, padded to a single position
    layer.read_options("QConv", 1);
    layer.host.input({1, 7, 6, 3}, std::vector<float>(7 * 6 * 3, 0.25f));
    layer.constants(1, 256, 3, 64, 64 * 11 * 11);
    EXPECT_GT(starve(op_registration(OpKind::kConv, kernel), &layer, 7 * 6 * 3 * 0.125f + 1), 5);
  }
}

TEST(Memory, OfALocalResponseNormalization) {
  Layer layer(2);
  const TfLiteLocalResponseNormParams params = {1, 1.0f, 0.0f, 0.5f};
  layer.options.assign(reinterpret_cast<const char*>(&params),
                       reinterpret_cast<const char*>(&params + 1));
  layer.inputs = Indices({0});
  layer.node.inputs = layer.inputs.get();
  layer.host.input({1, 3, 3, 8}, std::vector<float>(72, 2.0f));
  EXPECT_GE(starve(lrn_registration(0), &layer, 2.0f), 1);
}

}  // namespace
}  // namespace qcnn
