#include "layers.h"

#include <algorithm>
#include <sstream>

namespace qcnn {
namespace {

BenchLayer conv(const std::string& name, int64_t in, int64_t channels, int64_t outputs,
                int64_t kernel, int64_t stride, int64_t pad, int64_t groups, int64_t K, int64_t d) {
  BenchLayer layer;
  layer.name = name;
  ConvShape& s = layer.conv;
  s.batch = 1;
  s.in_h = s.in_w = in;
  s.in_channels = channels;
  s.out_channels = outputs;
  s.kernel_h = s.kernel_w = kernel;
  s.stride_h = s.stride_w = stride;
  s.pad_top = s.pad_left = pad;
  s.groups = groups;
  s.out_h = s.out_w = (in + 2 * pad - kernel) / stride + 1;
  s.activation = Activation::kRelu;
  layer.K = K;
  layer.d = std::min(d, channels / groups);
  return layer;
}

BenchLayer fc(const std::string& name, int64_t rows, int64_t channels, int64_t outputs, int64_t K,
              int64_t d) {
  BenchLayer layer;
  layer.name = name;
  layer.is_conv = false;
  layer.fc.rows = rows;
  layer.fc.in_channels = channels;
  layer.fc.out_channels = outputs;
  layer.fc.activation = Activation::kRelu;
  layer.K = K;
  layer.d = d;
  return layer;
}

void add_fc(const std::string& network, int64_t features, std::vector<BenchLayer>* layers) {
  layers->push_back(fc(network + "/fc6", 1, features, 4096, 32, 4));
  layers->push_back(fc(network + "/fc7", 1, 4096, 4096, 32, 4));
  layers->push_back(fc(network + "/fc8", 1, 4096, 1000, 16, 1));
}

}  // namespace

double BenchLayer::macs() const {
  if (!is_conv) return static_cast<double>(fc.rows * fc.in_channels * fc.out_channels);
  return static_cast<double>(conv.batch * conv.out_h * conv.out_w * conv.out_channels *
                             conv.kernel_h * conv.kernel_w * conv.in_channels / conv.groups);
}

std::vector<BenchLayer> network_layers() {
  std::vector<BenchLayer> layers = {
      conv("alexnet/conv1", 227, 3, 96, 11, 4, 0, 1, 128, 8),
      conv("alexnet/conv2", 27, 96, 256, 5, 1, 2, 2, 128, 8),
      conv("alexnet/conv3", 13, 256, 384, 3, 1, 1, 1, 128, 8),
      conv("alexnet/conv4", 13, 384, 384, 3, 1, 1, 2, 128, 8),
      conv("alexnet/conv5", 13, 384, 256, 3, 1, 1, 2, 128, 8),
  };
  add_fc("alexnet", 6 * 6 * 256, &layers);
  for (const BenchLayer& layer : {
           conv("cnn_s/conv1", 224, 3, 96, 7, 2, 0, 1, 128, 8),
           conv("cnn_s/conv2", 37, 96, 256, 5, 1, 1, 1, 128, 8),
           conv("cnn_s/conv3", 18, 256, 512, 3, 1, 1, 1, 128, 8),
           conv("cnn_s/conv4", 18, 512, 512, 3, 1, 1, 1, 128, 8),
           conv("cnn_s/conv5", 18, 512, 512, 3, 1, 1, 1, 128, 8),
       }) {
    layers.push_back(layer);
  }
  add_fc("cnn_s", 6 * 6 * 512, &layers);
  int64_t in = 224, channels = 64;
  int block = 1;
  for (int count : {2, 2, 3, 3, 3}) {
    const int64_t outputs = std::min<int64_t>(512, int64_t{64} << (block - 1));
    for (int i = 1; i <= count; ++i) {
      if (block > 1 || i > 1) {
        const std::string name = "vgg16/conv" + std::to_string(block) + "_" + std::to_string(i);
        layers.push_back(conv(name, in, channels, outputs, 3, 1, 1, 1, 128, 6));
      }
      channels = outputs;
    }
    in /= 2;
    ++block;
  }
  add_fc("vgg16", 7 * 7 * 512, &layers);
  return layers;
}

bool parse_layer(const std::string& text, BenchLayer* layer) {
  const size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  if (colon == std::string::npos || (kind != "conv" && kind != "fc")) return false;
  std::vector<int64_t> n;
  std::istringstream numbers(text.substr(colon + 1));
  std::string part;
  while (std::getline(numbers, part, ',')) {
    if (part.empty() || part.size() > 6 ||
        part.find_first_not_of("0123456789") != std::string::npos) {
      return false;
    }
    n.push_back(std::stoll(part));
  }
  for (size_t i = 0; i < n.size(); ++i) {
    if (n[i] < 1 && !(kind == "conv" && i == 6)) return false;  // a pad may be 0
  }
  const bool conv_count = kind == "conv" && n.size() == 10,
             fc_count = kind == "fc" && n.size() == 5;
  if (!conv_count && !fc_count) return false;
  if (n[n.size() - 2] > 256) return false;  // K
  if (fc_count) {
    *layer = fc("layer/" + text, n[0], n[1], n[2], n[3], n[4]);
    return true;
  }
  if (n[2] % n[7] != 0 || n[3] % n[7] != 0) return false;
  if (n[0] + 2 * n[6] < n[4] || n[1] + 2 * n[6] < n[4]) return false;
  *layer = conv("layer/" + text, n[0], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9]);
  layer->conv.in_w = n[1];
  layer->conv.out_w = (n[1] + 2 * n[6] - n[4]) / n[5] + 1;
  return true;
}

}  // namespace qcnn
