#include "fuzz/flexbuffers_writer.h"

namespace qcnn {

std::vector<uint8_t> write_integer_map(const std::vector<std::pair<std::string, int64_t>>& map,
                                       size_t width) {
  // FlexBuffers' numbers: type << 2 | log2(width).
  const auto log2 = static_cast<uint8_t>(width == 8 ? 3 : width == 4 ? 2 : 1);
  constexpr uint8_t kInt = 1 << 2, kMap = 9 << 2;
  constexpr size_t kKeyWidth = 2;
  std::vector<uint8_t> bytes;
  const auto put = [&](uint64_t value, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      bytes.push_back(static_cast<uint8_t>(i < 8 ? value >> (8 * i) : 0));
    }
  };
  std::vector<size_t> keys;
  for (const auto& entry : map) {
    keys.push_back(bytes.size());
    bytes.insert(bytes.end(), entry.first.begin(), entry.first.end());
    bytes.push_back(0);
  }
  put(map.size(), kKeyWidth);
  const size_t keys_at = bytes.size();
  for (size_t key : keys) put(bytes.size() - key, kKeyWidth);
  put(bytes.size() - keys_at, width);
  put(kKeyWidth, width);
  put(map.size(), width);
  const size_t values_at = bytes.size();
  for (const auto& entry : map) put(static_cast<uint64_t>(entry.second), width);
  for (size_t i = 0; i < map.size(); ++i) bytes.push_back(kInt | log2);
  put(bytes.size() - values_at, 4);
  bytes.push_back(kMap | log2);
  bytes.push_back(4);
  return bytes;
}

}  // namespace qcnn
