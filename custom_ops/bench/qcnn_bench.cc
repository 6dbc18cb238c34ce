// Every kernel on every layer of the networks, and scalar palettes from memory.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "code_sum.h"
#include "core/aligned.h"
#include "core/kernels.h"
#include "cpu_name.h"
#include "layers.h"
#include "random_layer.h"

namespace qcnn {
namespace {

using Clock = std::chrono::steady_clock;

// Times of the iterations. Time of the thread on its processor leaves out what other processes
// took, but systems under a hypervisor sometimes credit too little: not the least but the lower
// quartile counts. It is meaningful where there is one thread only.
struct Times {
  double fastest = std::numeric_limits<double>::infinity();
  std::vector<double> cpu;

  double cpu_quartile() {
    const auto at = cpu.begin() + static_cast<std::ptrdiff_t>(cpu.size() / 4);
    std::nth_element(cpu.begin(), at, cpu.end());
    return *at;
  }
};

double thread_seconds() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
#else
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
#endif
}

double measure(Times* times, const std::function<void()>& work) {
  const double cpu_start = thread_seconds();
  const Clock::time_point start = Clock::now();
  work();
  const double wall = std::chrono::duration<double>(Clock::now() - start).count();
  times->cpu.push_back(thread_seconds() - cpu_start);
  times->fastest = std::min(times->fastest, wall);
  return wall;
}

// A layer that is ready to run, on random constants and input.
struct ReadyLayer {
  std::unique_ptr<ConvLayer> conv;
  std::unique_ptr<FcLayer> fc;
  AlignedArray<float> input, output;
  AlignedArray<unsigned char> scratch;

  void run() {
    if (conv != nullptr) {
      conv->run(input.data(), output.data(), scratch.data());
    } else {
      fc->run(input.data(), output.data(), scratch.data());
    }
  }

  Memory memory() const { return conv != nullptr ? conv->memory() : fc->memory(); }
};

std::unique_ptr<ReadyLayer> make_layer(const BenchLayer& layer, const Kernel& kernel, int threads) {
  std::mt19937 random(1);
  const ConvShape& c = layer.conv;
  Layout layout;
  layout.channels = layer.is_conv ? c.in_channels : layer.fc.in_channels;
  layout.outputs = layer.is_conv ? c.out_channels : layer.fc.out_channels;
  layout.taps = c.kernel_h * c.kernel_w;
  layout.groups = c.groups;
  layout.K = layer.K;
  layout.d = layer.d;
  layout.sharing = layer.sharing;
  layout.bias = true;
  layout.scale = false;
  auto ready = std::make_unique<ReadyLayer>();
  int64_t inputs, outputs;
  if (layer.is_conv) {
    inputs = c.batch * c.in_h * c.in_w * c.in_channels;
    outputs = c.batch * c.out_h * c.out_w * c.out_channels;
    ready->conv = kernel.conv(c, random_codes(&random, layout));
    ready->conv->plan(c, threads);
  } else {
    inputs = layer.fc.rows * layer.fc.in_channels;
    outputs = layer.fc.rows * layer.fc.out_channels;
    ready->fc = kernel.fc(layer.fc, random_codes(&random, layout));
    ready->fc->plan(layer.fc, threads);
  }
  ready->input.resize(inputs);
  ready->output.resize(outputs);
  ready->scratch.resize(static_cast<int64_t>(ready->memory().scratch));
  const std::vector<float> values = random_floats(&random, inputs);
  std::copy(values.begin(), values.end(), ready->input.data());
  return ready;
}

// The layer that is being measured: Google Benchmark calls a function several times while it looks
// for the number of iterations, and packing takes far longer than running.
ReadyLayer& ready_layer(const BenchLayer& layer, const Kernel& kernel, int threads) {
  static std::string name;
  static std::unique_ptr<ReadyLayer> ready;
  const std::string wanted = layer.name + "/" + kernel.name;
  if (name != wanted) {
    ready.reset();
    ready = make_layer(layer, kernel, threads);
    name = wanted;
  }
  return *ready;
}

void report(benchmark::State* state, const BenchLayer& layer, const Kernel& kernel,
            const ReadyLayer& ready, Times* times, int threads) {
  const Memory memory = ready.memory();
  state->counters["GMAC/s"] = benchmark::Counter(
      layer.macs() * 1e-9 * static_cast<double>(state->iterations()), benchmark::Counter::kIsRate);
  state->counters["min_ns"] = times->fastest * 1e9;
  if (threads == 1) state->counters["cpu_ns"] = times->cpu_quartile() * 1e9;
  state->counters["packed"] = static_cast<double>(memory.packed);
  state->counters["scratch"] = static_cast<double>(memory.scratch);
  state->SetLabel(cpu_name() + ", " + kernel.name);
}

void bench_layer(benchmark::State& state, const BenchLayer& layer, const Kernel& kernel,
                 int threads) {
  ReadyLayer& ready = ready_layer(layer, kernel, threads);
  Times times;
  for (auto _ : state) {
    state.SetIterationTime(measure(&times, [&] { ready.run(); }));
  }
  report(&state, layer, kernel, ready, &times, threads);
}

// Drives everything out of the caches, by reading and writing far more than they hold.
void flush_caches() {
  constexpr int64_t kBytes = 256 << 20;
  static AlignedArray<uint64_t> memory = [] {
    AlignedArray<uint64_t> made(kBytes / 8);
    std::fill_n(made.data(), made.size(), uint64_t{1});
    return made;
  }();
  for (int64_t i = 0; i < memory.size(); i += 8) ++memory[i];
  benchmark::ClobberMemory();
}

void bench_palette(benchmark::State& state, const BenchLayer& layer, const Kernel& kernel,
                   int threads) {
  ReadyLayer& ready = ready_layer(layer, kernel, threads);
  Times times;
  for (auto _ : state) {
    flush_caches();
    state.SetIterationTime(measure(&times, [&] { ready.run(); }));
  }
  report(&state, layer, kernel, ready, &times, threads);
}

void bench_code_sum(benchmark::State& state, int64_t bytes, int64_t ahead) {
  AlignedArray<uint8_t> codes(bytes);
  std::mt19937 random(1);
  for (int64_t i = 0; i < bytes; ++i) codes[i] = static_cast<uint8_t>(random());
  Times times;
  for (auto _ : state) {
    flush_caches();
    state.SetIterationTime(
        measure(&times, [&] { benchmark::DoNotOptimize(code_sum(codes.data(), bytes, ahead)); }));
  }
  state.counters["min_ns"] = times.fastest * 1e9;
  state.counters["GB/s"] = benchmark::Counter(
      static_cast<double>(bytes * state.iterations()) * 1e-9, benchmark::Counter::kIsRate);
  state.SetLabel(cpu_name() + ", " + code_sum_registers());
}

void register_palettes(const std::vector<const Kernel*>& kernels, int threads) {
  constexpr int64_t kChannels = 9216, kOutputs = 4096;  // fc6 of AlexNet
  for (int bits : {8, 4, 2}) {
    const std::string name = "palette/K" + std::to_string(1 << bits);
    const int64_t bytes = kChannels * kOutputs * bits / 8;
    for (const int64_t ahead : {int64_t{0}, int64_t{16384}}) {
      const std::string sum = name + "/code_sum" + (ahead > 0 ? "_prefetched" : "");
      benchmark::RegisterBenchmark(sum.c_str(), [bytes, ahead](benchmark::State& state) {
        bench_code_sum(state, bytes, ahead);
      })->UseManualTime();
    }
    BenchLayer layer;
    layer.name = name;
    layer.is_conv = false;
    layer.fc.rows = 1;
    layer.fc.in_channels = kChannels;
    layer.fc.out_channels = kOutputs;
    layer.K = 1 << bits;
    layer.d = 1;
    layer.sharing = 0;
    for (const Kernel* kernel : kernels) {
      benchmark::RegisterBenchmark((name + "/" + kernel->name).c_str(),
                                   [layer, kernel, threads](benchmark::State& state) {
                                     bench_palette(state, layer, *kernel, threads);
                                   })
          ->UseManualTime();
    }
  }
}

// The value of an argument "--name=value", or null.
const char* value_of(const char* argument, const char* name) {
  const size_t size = std::strlen(name);
  return std::strncmp(argument, name, size) == 0 && argument[size] == '=' ? argument + size + 1
                                                                          : nullptr;
}

int run(int argc, char** argv) {
  int threads = 1;
  std::vector<BenchLayer> layers = network_layers();
  std::vector<char*> rest;
  for (int i = 0; i < argc; ++i) {
    if (const char* text = value_of(argv[i], "--layer")) {
      BenchLayer layer;
      if (!parse_layer(text, &layer)) {
        std::fprintf(stderr,
                     "--layer: expected conv:IN_H,IN_W,C_IN,C_OUT,KERNEL,STRIDE,PAD,GROUPS,K,D or "
                     "fc:ROWS,C_IN,C_OUT,K,D, got '%s'\n",
                     text);
        return 2;
      }
      layers.push_back(layer);
    } else if (const char* count = value_of(argv[i], "--threads")) {
      threads = std::atoi(count);
      if (threads < 1 || threads > 64) {
        std::fprintf(stderr, "--threads: expected 1 to 64, got '%s'\n", count);
        return 2;
      }
    } else {
      rest.push_back(argv[i]);
    }
  }
  int count = static_cast<int>(rest.size());
  benchmark::Initialize(&count, rest.data());
  if (benchmark::ReportUnrecognizedArguments(count, rest.data())) return 2;

  std::vector<const Kernel*> available;
  for (const Kernel* kernel : kernels()) {
    if (kernel->available()) available.push_back(kernel);
  }
  for (const BenchLayer& layer : layers) {
    for (const Kernel* kernel : available) {
      benchmark::RegisterBenchmark((layer.name + "/" + kernel->name).c_str(),
                                   [layer, kernel, threads](benchmark::State& state) {
                                     bench_layer(state, layer, *kernel, threads);
                                   })
          ->UseManualTime();
    }
  }
  register_palettes(available, threads);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace qcnn

int main(int argc, char** argv) { return qcnn::run(argc, argv); }
