// Writes a FlexBuffers map of integers, right or wrong.
#ifndef QCNN_FUZZ_FLEXBUFFERS_WRITER_H_
#define QCNN_FUZZ_FLEXBUFFERS_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace qcnn {

// width: bytes of a value, 2, 4 or 8; a larger value is cut off.
std::vector<uint8_t> write_integer_map(const std::vector<std::pair<std::string, int64_t>>& map,
                                       size_t width);

}  // namespace qcnn

#endif  // QCNN_FUZZ_FLEXBUFFERS_WRITER_H_
