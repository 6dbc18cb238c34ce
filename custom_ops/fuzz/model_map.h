// Where in a sound .tflite file the fields stand that a stranger may change: those of our nodes,
// and of the pooling that may be computed with them.
#ifndef QCNN_FUZZ_MODEL_MAP_H_
#define QCNN_FUZZ_MODEL_MAP_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace qcnn {

// A vector of the flatbuffer: its length stands in the four bytes before `first`.
struct MappedVector {
  size_t first = 0;
  uint32_t count = 0;
};

struct MappedTensor {
  int index = 0;
  MappedVector shape, data, scales, zero_points;
  size_t type = 0, buffer = 0, quantized_dimension = 0;  // positions; 0: absent
};

struct MappedNode {
  MappedVector inputs, options;
  std::vector<std::pair<std::string, int64_t>> option_map;
  size_t lrn_params[4] = {};  // radius, bias, alpha, beta of a LOCAL_RESPONSE_NORMALIZATION
};

struct ModelMap {
  std::vector<uint8_t> file;
  std::vector<MappedNode> nodes;
  std::vector<MappedTensor> tensors;                      // of these nodes
  std::vector<size_t> pools;                              // strides and sizes of MAX_POOL_2D
  std::vector<size_t> pads;                               // int32 of a PAD
  std::vector<std::pair<size_t, MappedVector>> metadata;  // position of the buffer's index, name
  std::vector<MappedVector> metadata_data;
  uint32_t buffer_count = 0, tensor_count = 0;
};

// Aborts when the file is not what make_models.py writes.
ModelMap map_model(const std::string& path);

}  // namespace qcnn

#endif  // QCNN_FUZZ_MODEL_MAP_H_
