// Reads a FlexBuffers map of integers, and nothing else, from bytes that nobody has checked.
#ifndef QCNN_TFLITE_FLEXBUFFERS_MAP_H_
#define QCNN_TFLITE_FLEXBUFFERS_MAP_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace qcnn {

// Entries of the map in its own order, without those whose key begins with "x_" (annotations).
using IntegerMap = std::vector<std::pair<std::string, int64_t>>;

// Reads `data`; never outside [data, data + size).
//
// error: set to a sentence when the bytes are no map, a value is no integer, or a key appears
// twice. Returns whether the map could be read.
bool read_integer_map(const uint8_t* data, size_t size, IntegerMap* map, std::string* error);

}  // namespace qcnn

#endif  // QCNN_TFLITE_FLEXBUFFERS_MAP_H_
