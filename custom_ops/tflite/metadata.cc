// Finds our metadata entry in a .tflite file that nobody has checked.
#include <cstring>

#include "qcnn/qcnn_ops.h"

namespace qcnn {
namespace {

// Fields of the schema's tables, in order of declaration.
enum { kModelBuffers = 4, kModelMetadata = 6 };
enum { kMetadataName = 0, kMetadataBuffer = 1 };
enum { kBufferData = 0 };

constexpr uint32_t kMaxEntries = 1u << 16;

// A flatbuffer with checked access. Positions are offsets from the start; 0 means absent, as no
// table can begin there.
class FlatBuffer {
 public:
  FlatBuffer(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  bool u32(size_t at, uint32_t* value) const {
    if (at > size_ || size_ - at < 4) return false;
    *value = static_cast<uint32_t>(data_[at]) | static_cast<uint32_t>(data_[at + 1]) << 8 |
             static_cast<uint32_t>(data_[at + 2]) << 16 |
             static_cast<uint32_t>(data_[at + 3]) << 24;
    return true;
  }

  bool follow(size_t at, size_t* target) const {
    uint32_t offset = 0;
    if (!u32(at, &offset) || offset == 0 || offset > size_ - at) return false;
    *target = at + offset;
    return true;
  }

  // Position of a table's field, 0 when the table does not have it.
  bool field(size_t table, int index, size_t* position) const {
    *position = 0;
    uint32_t back = 0;
    if (!u32(table, &back)) return false;
    const int64_t vtable = static_cast<int64_t>(table) - static_cast<int32_t>(back);
    uint16_t length = 0, offset = 0;
    if (vtable < 0 || !u16(static_cast<size_t>(vtable), &length)) return false;
    const size_t slot = 4 + 2 * static_cast<size_t>(index);
    if (slot + 2 > length) return true;
    if (!u16(static_cast<size_t>(vtable) + slot, &offset)) return false;
    if (offset == 0) return true;
    if (offset > size_ - table) return false;
    *position = table + offset;
    return true;
  }

  // A vector's first element and length, checked to lie inside; absent is length 0.
  bool vector(size_t table, int index, size_t item, size_t* first, uint32_t* length) const {
    size_t at = 0;
    *length = 0;
    if (!field(table, index, &at)) return false;
    if (at == 0) return true;
    if (!follow(at, &at) || !u32(at, length)) return false;
    *first = at + 4;
    return *length <= (size_ - *first) / item;
  }

  const uint8_t* data() const { return data_; }

 private:
  bool u16(size_t at, uint16_t* value) const {
    if (at > size_ || size_ - at < 2) return false;
    *value = static_cast<uint16_t>(data_[at] | data_[at + 1] << 8);
    return true;
  }

  const uint8_t* data_;
  size_t size_;
};

QcnnStatus find(const FlatBuffer& file, const char* name, const char** text, size_t* size) {
  size_t model = 0, entries = 0, buffers = 0;
  uint32_t entry_count = 0, buffer_count = 0;
  if (!file.follow(0, &model) || !file.vector(model, kModelMetadata, 4, &entries, &entry_count) ||
      !file.vector(model, kModelBuffers, 4, &buffers, &buffer_count) || entry_count > kMaxEntries) {
    return QCNN_DAMAGED;
  }
  for (uint32_t i = 0; i < entry_count; ++i) {
    size_t entry = 0, letters = 0, number = 0, buffer = 0, bytes = 0;
    uint32_t length = 0, index = 0, count = 0;
    if (!file.follow(entries + 4 * size_t{i}, &entry) ||
        !file.vector(entry, kMetadataName, 1, &letters, &length)) {
      return QCNN_DAMAGED;
    }
    if (length != std::strlen(name) || std::memcmp(file.data() + letters, name, length) != 0) {
      continue;
    }
    if (!file.field(entry, kMetadataBuffer, &number) ||
        (number != 0 && !file.u32(number, &index)) || index >= buffer_count ||
        !file.follow(buffers + 4 * size_t{index}, &buffer) ||
        !file.vector(buffer, kBufferData, 1, &bytes, &count)) {
      return QCNN_DAMAGED;
    }
    if (count == 0) return QCNN_NOT_FOUND;
    *text = reinterpret_cast<const char*>(file.data() + bytes);
    *size = count;
    return QCNN_OK;
  }
  return QCNN_NOT_FOUND;
}

}  // namespace
}  // namespace qcnn

extern "C" QcnnStatus qcnn_read_metadata(const void* model, size_t size, const char** json,
                                         size_t* json_size) {
  if (model == nullptr || json == nullptr || json_size == nullptr) return QCNN_INVALID_ARGUMENT;
  *json = nullptr;
  *json_size = 0;
  const auto* bytes = static_cast<const uint8_t*>(model);
  if (size < 8 || std::memcmp(bytes + 4, "TFL3", 4) != 0) return QCNN_DAMAGED;
  return qcnn::find(qcnn::FlatBuffer(bytes, size), "qcnn_tflite", json, json_size);
}
