// Checked access to a flatbuffer that nobody has verified.
#ifndef QCNN_TFLITE_FLATBUFFER_H_
#define QCNN_TFLITE_FLATBUFFER_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace qcnn {

// A flatbuffer with checked access. Positions are offsets from the start; 0 means absent, as no
// table can begin there.
class FlatBuffer {
 public:
  FlatBuffer(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  bool u8(size_t at, uint8_t* value) const {
    if (at >= size_) return false;
    *value = data_[at];
    return true;
  }

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

  // Whether the file begins like a TensorFlow Lite model.
  bool is_model() const { return size_ >= 8 && std::memcmp(data_ + 4, "TFL3", 4) == 0; }

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  bool u16(size_t at, uint16_t* value) const {
    if (at > size_ || size_ - at < 2) return false;
    *value = static_cast<uint16_t>(data_[at] | data_[at + 1] << 8);
    return true;
  }

  const uint8_t* data_;
  size_t size_;
};

}  // namespace qcnn

#endif  // QCNN_TFLITE_FLATBUFFER_H_
