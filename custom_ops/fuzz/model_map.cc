#include "fuzz/model_map.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include "tflite/flatbuffer.h"
#include "tflite/flexbuffers_map.h"

namespace qcnn {
namespace {

void need(bool right, const std::string& what) {
  if (right) return;
  std::fprintf(stderr, "%s; run make_models.py\n", what.c_str());
  std::exit(1);
}

// Fields of the schema's tables, in order of declaration.
class Mapper {
 public:
  explicit Mapper(ModelMap* map) : map_(*map), file_(map->file.data(), map->file.size()) {}

  void run() {
    need(file_.is_model() && file_.follow(0, &model_), "no model");
    const MappedVector buffers = vector(model_, 4, 4), codes = vector(model_, 1, 4);
    buffers_ = buffers;
    map_.buffer_count = buffers.count;
    const size_t graph = table(vector(model_, 2, 4), 0);
    const MappedVector tensors = vector(graph, 0, 4), operators = vector(graph, 3, 4);
    map_.tensor_count = tensors.count;
    std::set<int> ours;
    for (uint32_t i = 0; i < operators.count; ++i) {
      const size_t at = table(operators, i);
      uint32_t code = 0;
      need(file_.u32(field(at, 0), &code), "an operator without a code");
      const MappedVector name = vector(table(codes, code), 1, 1);
      const std::string custom(file_.data() + name.first, file_.data() + name.first + name.count);
      uint32_t builtin = 0;
      need(file_.u32(field(table(codes, code), 3), &builtin), "a code without a number");
      if (builtin == 17) add_pool(at);
      if (builtin == 34) add_pads(tensors, vector(at, 1, 4));
      if (builtin != 13 && custom != "QConv" && custom != "QFC") continue;
      MappedNode node;
      node.inputs = vector(at, 1, 4);
      if (builtin == 13) {
        size_t params = 0;
        need(file_.follow(field(at, 4), &params), "an LRN without parameters");
        for (int p = 0; p < 4; ++p) node.lrn_params[p] = field(params, p);
      } else {
        node.options = vector(at, 5, 1);
        std::string error;
        need(read_integer_map(file_.data() + node.options.first, node.options.count,
                              &node.option_map, &error),
             error);
      }
      for (const MappedVector& indices : {node.inputs, vector(at, 2, 4)}) {
        for (uint32_t j = 0; j < indices.count; ++j) {
          uint32_t index = 0;
          need(file_.u32(indices.first + 4 * j, &index), "an index outside");
          if (index < tensors.count && ours.insert(static_cast<int>(index)).second) {
            add_tensor(static_cast<int>(index), table(tensors, index));
          }
        }
      }
      map_.nodes.push_back(node);
    }
    need(!map_.nodes.empty(), "no node of ours");
    const MappedVector metadata = vector(model_, 6, 4);
    for (uint32_t i = 0; i < metadata.count; ++i) {
      const size_t entry = table(metadata, i), number = field(entry, 1);
      uint32_t index = 0;
      need(number != 0 && file_.u32(number, &index), "metadata without a buffer");
      map_.metadata.push_back({number, vector(entry, 0, 1)});
      map_.metadata_data.push_back(vector(table(buffers_, index), 0, 1));
    }
  }

 private:
  size_t field(size_t table, int index) {
    size_t at = 0;
    need(file_.field(table, index, &at), "a field outside");
    return at;
  }
  MappedVector vector(size_t table, int index, size_t item) {
    MappedVector found;
    need(file_.vector(table, index, item, &found.first, &found.count), "a vector outside");
    return found;
  }
  size_t table(const MappedVector& tables, uint32_t i) {
    size_t at = 0;
    need(i < tables.count && file_.follow(tables.first + 4 * size_t{i}, &at), "a table outside");
    return at;
  }

  void add_pool(size_t at) {
    size_t options = 0;
    need(file_.follow(field(at, 4), &options), "a MAX_POOL_2D without options");
    for (int i = 1; i <= 4; ++i) map_.pools.push_back(field(options, i));
  }

  void add_pads(const MappedVector& tensors, const MappedVector& inputs) {
    uint32_t index = 0, buffer = 0;
    need(inputs.count == 2 && file_.u32(inputs.first + 4, &index), "a PAD without paddings");
    need(file_.u32(field(table(tensors, index), 2), &buffer), "a buffer outside");
    const MappedVector data = vector(table(buffers_, buffer), 0, 1);
    for (uint32_t i = 0; i < data.count; i += 4) map_.pads.push_back(data.first + i);
  }

  void add_tensor(int index, size_t at) {
    MappedTensor tensor;
    tensor.index = index;
    tensor.shape = vector(at, 0, 4);
    tensor.type = field(at, 1);
    tensor.buffer = field(at, 2);
    uint32_t buffer = 0;
    if (tensor.buffer != 0) {
      need(file_.u32(tensor.buffer, &buffer), "a buffer outside");
      tensor.data = vector(table(buffers_, buffer), 0, 1);
    }
    const size_t quantization = field(at, 4);
    size_t table = 0;
    if (quantization != 0 && file_.follow(quantization, &table)) {
      tensor.scales = vector(table, 2, 4);
      tensor.zero_points = vector(table, 3, 8);
      tensor.quantized_dimension = field(table, 6);
    }
    map_.tensors.push_back(tensor);
  }

  ModelMap& map_;
  FlatBuffer file_;
  size_t model_ = 0;
  MappedVector buffers_;
};

}  // namespace

ModelMap map_model(const std::string& path) {
  ModelMap map;
  std::ifstream file(path, std::ios::binary);
  map.file.assign(std::istreambuf_iterator<char>(file), {});
  need(!map.file.empty(), path + " is not there");
  Mapper(&map).run();
  return map;
}

}  // namespace qcnn
