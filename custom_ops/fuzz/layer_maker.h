// Layers out of a fuzzer's bytes: sound ones, and sound ones with a few fields changed.
#ifndef QCNN_FUZZ_LAYER_MAKER_H_
#define QCNN_FUZZ_LAYER_MAKER_H_

#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/layer.h"
#include "host.h"
#include "qcnn/tflite_abi.h"
#include "tflite/options.h"

namespace qcnn {

struct MadeTensor {
  std::vector<int> shape;
  std::vector<uint8_t> bytes;
  TfLiteType type = kTfLiteFloat32;
  TfLiteAllocationType allocation = kTfLiteMmapRo;
  bool no_data = false, no_dims = false;
};

// A node of QConv or QFC with its tensors: input, codebooks, codes, bias, scale, output.
struct MadeLayer {
  OpKind kind = OpKind::kConv;
  std::vector<std::pair<std::string, int64_t>> option_map;
  std::vector<uint8_t> options;
  MadeTensor tensors[6];
  std::vector<int> inputs = {0, 1, 2, 3, 4}, outputs = {5};
  bool quantized = false;
  std::vector<float> scales;  // of int8 codebooks
  std::vector<int> zero_points;
  int quantized_dimension = 0;
  int threads = 1;
  size_t kernel = 0;              // the one that is looked at, modulo their number
  bool all_kernels = false;       // all of them, which takes longer
  std::vector<int> second_shape;  // that the input takes after the first Invoke; empty: none

  // What it means, as long as nothing was changed.
  bool changed = false;
  bool ordinary = true;  // values that kernels in int16 must answer well
  Options meaning;
  Codes codes;
};

MadeLayer make_layer(FuzzedDataProvider* from, OpKind kind);

// `count` floats, uniform in (-size, size); the same for the same seed.
std::vector<float> uniform_floats(uint64_t seed, size_t count, float size);

// A number that programs often get wrong, or a small one.
int64_t odd_number(FuzzedDataProvider* from);

// A tensor into the host.
void place(const MadeTensor& tensor, int index, Host* host);

}  // namespace qcnn

#endif  // QCNN_FUZZ_LAYER_MAKER_H_
