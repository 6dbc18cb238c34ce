// Runs a quantized classifier through TensorFlow Lite's C API: QConv, QFC and LRN come in by
// qcnn_register_ops(), there is no delegate.
//
//     qcnn_classify MODEL.tflite INPUT.f32 [THREADS]
//
// INPUT.f32 holds the network's input as it takes it, float32. Prints the five largest outputs,
// index and value, and the median time of ten runs.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

#include "qcnn/qcnn_ops.h"

// c_api.h of the Android package includes headers that the package does not hold.
struct TfLiteModel;
struct TfLiteInterpreter;
struct TfLiteInterpreterOptions;
struct TfLiteTensor;

extern "C" {
TfLiteModel* TfLiteModelCreate(const void*, size_t);
void TfLiteModelDelete(TfLiteModel*);
TfLiteInterpreterOptions* TfLiteInterpreterOptionsCreate();
void TfLiteInterpreterOptionsDelete(TfLiteInterpreterOptions*);
void TfLiteInterpreterOptionsSetNumThreads(TfLiteInterpreterOptions*, int32_t);
TfLiteInterpreter* TfLiteInterpreterCreate(const TfLiteModel*, const TfLiteInterpreterOptions*);
void TfLiteInterpreterDelete(TfLiteInterpreter*);
int TfLiteInterpreterAllocateTensors(TfLiteInterpreter*);
int TfLiteInterpreterInvoke(TfLiteInterpreter*);
TfLiteTensor* TfLiteInterpreterGetInputTensor(const TfLiteInterpreter*, int32_t);
const TfLiteTensor* TfLiteInterpreterGetOutputTensor(const TfLiteInterpreter*, int32_t);
size_t TfLiteTensorByteSize(const TfLiteTensor*);
int TfLiteTensorCopyFromBuffer(TfLiteTensor*, const void*, size_t);
int TfLiteTensorCopyToBuffer(const TfLiteTensor*, void*, size_t);
}

namespace {

[[noreturn]] void fail(const std::string& sentence) {
  std::fprintf(stderr, "qcnn_classify: %s\n", sentence.c_str());
  std::exit(2);
}

std::vector<char> read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(std::string(path) + " cannot be read");
  return std::vector<char>(std::istreambuf_iterator<char>(file), {});
}

double run_ms(TfLiteInterpreter* interpreter) {
  const auto start = std::chrono::steady_clock::now();
  if (TfLiteInterpreterInvoke(interpreter) != 0) fail("the runtime failed");
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) fail("expected MODEL.tflite INPUT.f32 [THREADS]");
  const std::vector<char> bytes = read(arguments[1]);
  const std::vector<char> input = read(arguments[2]);

  // A file from anywhere is checked before the runtime, which trusts it.
  QcnnModelInfo info;
  if (qcnn_check_model(bytes.data(), bytes.size(), &info) != QCNN_OK) fail("the model is damaged");
  if (info.foreign_op != nullptr) {
    fail("there is no kernel of " + std::string(info.foreign_op, info.foreign_op_size));
  }
  TfLiteModel* model = TfLiteModelCreate(bytes.data(), bytes.size());
  if (model == nullptr) fail("the model was refused");

  TfLiteInterpreterOptions* options = TfLiteInterpreterOptionsCreate();
  TfLiteInterpreterOptionsSetNumThreads(options, count > 3 ? std::atoi(arguments[3]) : 1);
  if (qcnn_register_ops(options, 0) != QCNN_OK) fail("this runtime does not take custom ops");
  TfLiteInterpreter* interpreter = TfLiteInterpreterCreate(model, options);
  TfLiteInterpreterOptionsDelete(options);
  if (interpreter == nullptr || TfLiteInterpreterAllocateTensors(interpreter) != 0) {
    fail("the model was refused");
  }

  TfLiteTensor* in = TfLiteInterpreterGetInputTensor(interpreter, 0);
  if (TfLiteTensorByteSize(in) != input.size()) {
    fail("expected an input of " + std::to_string(TfLiteTensorByteSize(in)) + " bytes, got " +
         std::to_string(input.size()));
  }
  TfLiteTensorCopyFromBuffer(in, input.data(), input.size());
  std::vector<double> times(10);
  run_ms(interpreter);
  for (double& ms : times) ms = run_ms(interpreter);
  std::nth_element(times.begin(), times.begin() + 5, times.end());

  const TfLiteTensor* out = TfLiteInterpreterGetOutputTensor(interpreter, 0);
  std::vector<float> scores(TfLiteTensorByteSize(out) / sizeof(float));
  TfLiteTensorCopyToBuffer(out, scores.data(), scores.size() * sizeof(float));
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  for (size_t i = 0; i < std::min<size_t>(5, order.size()); ++i) {
    std::printf("%zu %.9g\n", order[i], static_cast<double>(scores[order[i]]));
  }
  std::printf("median %.3f ms, kernel %s\n", times[5], qcnn_selected_kernel());

  TfLiteInterpreterDelete(interpreter);
  TfLiteModelDelete(model);
}
