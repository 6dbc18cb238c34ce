// Whether a .tflite file is whole, before a runtime that trusts it is asked.
#include <algorithm>
#include <cstring>

#include "qcnn/qcnn_ops.h"
#include "tflite/flatbuffer.h"

namespace qcnn {
namespace {

// Fields of the schema's tables, in order of declaration.
enum { kModelVersion = 0, kModelOperatorCodes = 1, kModelSubgraphs = 2, kModelBuffers = 4 };
enum { kBufferData = 0, kBufferOffset = 1, kBufferSize = 2 };
enum { kCodeDeprecated = 0, kCodeCustom = 1, kCodeBuiltin = 3 };
enum { kGraphTensors = 0, kGraphInputs = 1, kGraphOutputs = 2, kGraphOperators = 3 };
enum { kTensorShape = 0, kTensorBuffer = 2, kTensorName = 3 };
enum { kOperatorCode = 0, kOperatorInputs = 1, kOperatorOutputs = 2, kOperatorCustomOptions = 5 };

constexpr uint32_t kSchemaVersion = 3;
constexpr uint32_t kBuiltinCustom = 32;
constexpr uint32_t kBuiltinLrn = 13;
// More of anything is no network.
constexpr uint32_t kMost = 1u << 20;

struct Vector {
  size_t first = 0;
  uint32_t count = 0;
};

class Checker {
 public:
  Checker(const FlatBuffer& file, QcnnModelInfo* info)
      : file_(file), info_(info), left_(file.size()) {}

  bool run() {
    size_t model = 0;
    uint32_t version = 0;
    Vector graphs;
    if (!file_.follow(0, &model) || !number(model, kModelVersion, &version) ||
        version != kSchemaVersion || !tables(model, kModelBuffers, &buffers_) ||
        !tables(model, kModelOperatorCodes, &codes_) || !tables(model, kModelSubgraphs, &graphs) ||
        graphs.count == 0) {
      return false;
    }
    return each(buffers_, &Checker::buffer) && each(codes_, &Checker::code) &&
           each(graphs, &Checker::graph);
  }

 private:
  bool number(size_t table, int index, uint32_t* value) const {
    size_t at = 0;
    *value = 0;
    return file_.field(table, index, &at) && (at == 0 || file_.u32(at, value));
  }

  bool vector(size_t table, int index, size_t item, Vector* found) const {
    return file_.vector(table, index, item, &found->first, &found->count);
  }

  bool tables(size_t table, int index, Vector* found) const {
    return vector(table, index, 4, found) && found->count <= kMost;
  }

  // Entries have four bytes each. A file may point to the same ones again and again, and a small
  // one would keep us busy for ever: more than four times what fits into it is no model.
  bool take(uint32_t entries) {
    if (entries > left_) return false;
    left_ -= entries;
    return true;
  }

  bool each(const Vector& tables, bool (Checker::*check)(size_t)) {
    if (!take(tables.count)) return false;
    for (uint32_t i = 0; i < tables.count; ++i) {
      size_t at = 0;
      if (!file_.follow(tables.first + 4 * size_t{i}, &at) || !(this->*check)(at)) return false;
    }
    return true;
  }

  bool buffer(size_t table) {
    Vector data;
    uint64_t offset = 0, size = 0;
    return vector(table, kBufferData, 1, &data) && wide(table, kBufferOffset, &offset) &&
           wide(table, kBufferSize, &size) &&
           // Files above 2 GiB keep data behind the flatbuffer; 0 and 1 mean that this one does
           // not.
           (offset <= 1 || (offset <= file_.size() && size <= file_.size() - offset));
  }

  bool wide(size_t table, int index, uint64_t* value) const {
    size_t at = 0;
    uint32_t low = 0, high = 0;
    if (!file_.field(table, index, &at)) return false;
    if (at != 0 && (!file_.u32(at, &low) || !file_.u32(at + 4, &high))) return false;
    *value = uint64_t{high} << 32 | low;
    return true;
  }

  // A builtin operator's number, and the name of a custom one.
  bool read_code(size_t table, uint32_t* builtin, Vector* name) const {
    size_t at = 0;
    uint8_t old = 0;
    if (!number(table, kCodeBuiltin, builtin) || !file_.field(table, kCodeDeprecated, &at) ||
        (at != 0 && !file_.u8(at, &old)) || !vector(table, kCodeCustom, 1, name)) {
      return false;
    }
    // Old files have the old field only, new ones a byte's largest value there.
    *builtin = std::max<uint32_t>(*builtin, old);
    return true;
  }

  bool code(size_t table) {
    uint32_t builtin = 0;
    Vector name;
    if (!read_code(table, &builtin, &name)) return false;
    if (builtin == kBuiltinCustom && !is(name, "QConv") && !is(name, "QFC") &&
        info_->foreign_op == nullptr) {
      info_->foreign_op = reinterpret_cast<const char*>(file_.data() + name.first);
      info_->foreign_op_size = name.count;
    }
    return true;
  }

  bool is(const Vector& name, const char* word) const {
    return name.count == std::strlen(word) &&
           std::memcmp(file_.data() + name.first, word, name.count) == 0;
  }

  bool graph(size_t table) {
    Vector tensors, operators;
    if (!tables(table, kGraphTensors, &tensors) || !tables(table, kGraphOperators, &operators)) {
      return false;
    }
    tensors_ = tensors.count;
    return each(tensors, &Checker::tensor) && indices(table, kGraphInputs, false) &&
           indices(table, kGraphOutputs, false) && each(operators, &Checker::node);
  }

  bool tensor(size_t table) {
    Vector shape, name;
    uint32_t index = 0;
    return vector(table, kTensorShape, 4, &shape) && vector(table, kTensorName, 1, &name) &&
           number(table, kTensorBuffer, &index) && index < buffers_.count;
  }

  bool node(size_t table) {
    uint32_t index = 0, builtin = 0;
    size_t code = 0;
    Vector options, name;
    if (!number(table, kOperatorCode, &index) || index >= codes_.count ||
        !indices(table, kOperatorInputs, true) || !indices(table, kOperatorOutputs, false) ||
        !vector(table, kOperatorCustomOptions, 1, &options) ||
        !file_.follow(codes_.first + 4 * size_t{index}, &code) ||
        !read_code(code, &builtin, &name)) {
      return false;
    }
    info_->lrn += builtin == kBuiltinLrn;
    info_->qconv += builtin == kBuiltinCustom && is(name, "QConv");
    info_->qfc += builtin == kBuiltinCustom && is(name, "QFC");
    return true;
  }

  // Whether a vector holds numbers of tensors; -1 is an absent input.
  bool indices(size_t table, int index, bool optional) {
    Vector found;
    if (!vector(table, index, 4, &found) || !take(found.count)) return false;
    for (uint32_t i = 0; i < found.count; ++i) {
      uint32_t tensor = 0;
      if (!file_.u32(found.first + 4 * size_t{i}, &tensor)) return false;
      if (tensor >= tensors_ && !(optional && tensor == ~uint32_t{0})) return false;
    }
    return true;
  }

  const FlatBuffer& file_;
  QcnnModelInfo* info_;
  Vector buffers_, codes_;
  uint32_t tensors_ = 0;
  size_t left_;  // entries that may still be looked at
};

}  // namespace
}  // namespace qcnn

extern "C" QcnnStatus qcnn_check_model(const void* model, size_t size, QcnnModelInfo* info) {
  if (model == nullptr || info == nullptr) return QCNN_INVALID_ARGUMENT;
  *info = QcnnModelInfo{};
  const qcnn::FlatBuffer file(static_cast<const uint8_t*>(model), size);
  return file.is_model() && qcnn::Checker(file, info).run() ? QCNN_OK : QCNN_DAMAGED;
}
