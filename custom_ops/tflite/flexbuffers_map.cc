#include "tflite/flexbuffers_map.h"

namespace qcnn {
namespace {

// FlexBuffers' types that matter here; a packed type is (type << 2) | log2(width).
enum Type { kInt = 1, kUInt = 2, kIndirectInt = 6, kIndirectUInt = 7, kMap = 9 };

constexpr size_t kMaxEntries = 256;
constexpr size_t kMaxKey = 64;

// Bytes with checked access.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  // Little-endian unsigned integer of `width` (1, 2, 4, 8) bytes at `at`.
  bool read(size_t at, size_t width, uint64_t* value) const {
    if (at > size_ || width > size_ - at) return false;
    *value = 0;
    for (size_t i = 0; i < width; ++i) *value |= static_cast<uint64_t>(data_[at + i]) << (8 * i);
    return true;
  }

  // Follows a backwards offset of `width` bytes stored at `at`.
  bool follow(size_t at, size_t width, size_t* target) const {
    uint64_t offset = 0;
    if (!read(at, width, &offset) || offset > at) return false;
    *target = at - static_cast<size_t>(offset);
    return true;
  }

  bool text(size_t at, std::string* value) const {
    value->clear();
    for (; at < size_ && value->size() <= kMaxKey; ++at) {
      if (data_[at] == 0) return true;
      value->push_back(static_cast<char>(data_[at]));
    }
    return false;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

int64_t sign_extend(uint64_t value, size_t width) {
  if (width == 8) return static_cast<int64_t>(value);
  const uint64_t sign = uint64_t{1} << (8 * width - 1);
  return static_cast<int64_t>((value ^ sign) - sign);
}

// Value of type `packed` in a slot of `width` bytes at `at`.
bool read_integer(const Bytes& bytes, size_t at, size_t width, unsigned packed, int64_t* value) {
  unsigned type = packed >> 2;
  if (type == kIndirectInt || type == kIndirectUInt) {
    if (!bytes.follow(at, width, &at)) return false;
    width = size_t{1} << (packed & 3);
    type = type == kIndirectInt ? kInt : kUInt;
  }
  uint64_t raw = 0;
  if ((type != kInt && type != kUInt) || !bytes.read(at, width, &raw)) return false;
  if (type == kUInt && raw > static_cast<uint64_t>(INT64_MAX)) return false;
  *value = type == kUInt ? static_cast<int64_t>(raw) : sign_extend(raw, width);
  return true;
}

}  // namespace

bool read_integer_map(const uint8_t* data, size_t size, IntegerMap* map, std::string* error) {
  map->clear();
  *error = "the op's options are not a FlexBuffers map";
  if (data == nullptr || size < 3) return false;
  const Bytes bytes(data, size);
  const unsigned root_type = data[size - 2];
  const size_t root_width = data[size - 1];
  if (root_width != 1 && root_width != 2 && root_width != 4 && root_width != 8) return false;
  if (root_type >> 2 != kMap || size < 2 + root_width) return false;

  // A map is a vector of values; before it stand its length, the width of its keys and the offset
  // of the keys' vector, behind it one type byte an entry.
  size_t values = 0;
  if (!bytes.follow(size - 2 - root_width, root_width, &values)) return false;
  const size_t width = size_t{1} << (root_type & 3);
  uint64_t count = 0, key_width = 0, key_count = 0;
  size_t keys = 0;
  if (values < 3 * width || !bytes.read(values - width, width, &count) ||
      !bytes.read(values - 2 * width, width, &key_width) ||
      !bytes.follow(values - 3 * width, width, &keys)) {
    return false;
  }
  if (key_width != 1 && key_width != 2 && key_width != 4 && key_width != 8) return false;
  const size_t step = static_cast<size_t>(key_width);
  if (count > kMaxEntries || keys < step || !bytes.read(keys - step, step, &key_count) ||
      key_count != count) {
    return false;
  }
  const size_t entries = static_cast<size_t>(count);
  for (size_t i = 0; i < entries; ++i) {
    size_t key_at = 0;
    std::string key;
    uint64_t packed = 0;
    if (!bytes.follow(keys + i * step, step, &key_at) || !bytes.text(key_at, &key) ||
        !bytes.read(values + entries * width + i, 1, &packed)) {
      return false;
    }
    if (key.compare(0, 2, "x_") == 0) continue;
    int64_t value = 0;
    if (!read_integer(bytes, values + i * width, width, static_cast<unsigned>(packed), &value)) {
      *error = "option " + key + " is not an integer";
      return false;
    }
    for (const auto& known : *map) {
      if (known.first == key) {
        *error = "option " + key + " appears twice";
        return false;
      }
    }
    map->emplace_back(std::move(key), value);
  }
  error->clear();
  return true;
}

}  // namespace qcnn
