// Layers that are measured: those of the networks in the settings of the converter's preset
// "paper", and any others by their numbers.
#ifndef QCNN_BENCH_LAYERS_H_
#define QCNN_BENCH_LAYERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/layer.h"

namespace qcnn {

struct BenchLayer {
  std::string name;  // e.g. "alexnet/conv2"
  bool is_conv = true;
  ConvShape conv;
  FcShape fc;
  int64_t K = 0, d = 0;
  int sharing = 1;  // as Layout::sharing of tests/random_layer.h

  // Multiply-accumulates of the float layer.
  double macs() const;
};

// AlexNet (BVLC's, with groups), CNN-S and VGG-16. The first layer of VGG-16 is not among them:
// with its 1728 weights the converter leaves it float.
std::vector<BenchLayer> network_layers();

// A layer by its numbers:
//   conv:IN_H,IN_W,C_IN,C_OUT,KERNEL,STRIDE,PAD,GROUPS,K,D   or   fc:ROWS,C_IN,C_OUT,K,D
// False if the text is none.
bool parse_layer(const std::string& text, BenchLayer* layer);

}  // namespace qcnn

#endif  // QCNN_BENCH_LAYERS_H_
