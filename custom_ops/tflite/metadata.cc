// Finds our metadata entries in a .tflite file that nobody has checked.
#include <cstring>

#include "qcnn/qcnn_ops.h"
#include "tflite/flatbuffer.h"

namespace qcnn {
namespace {

// Fields of the schema's tables, in order of declaration.
enum { kModelBuffers = 4, kModelMetadata = 6 };
enum { kMetadataName = 0, kMetadataBuffer = 1 };
enum { kBufferData = 0 };

constexpr uint32_t kMaxEntries = 1u << 16;

QcnnStatus find(const FlatBuffer& file, const char* name, const uint8_t** data, size_t* size) {
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
    *data = file.data() + bytes;
    *size = count;
    return QCNN_OK;
  }
  return QCNN_NOT_FOUND;
}

QcnnStatus find_in(const void* model, size_t size, const char* name, const uint8_t** data,
                   size_t* data_size) {
  const FlatBuffer file(static_cast<const uint8_t*>(model), size);
  return file.is_model() ? find(file, name, data, data_size) : QCNN_DAMAGED;
}

}  // namespace
}  // namespace qcnn

extern "C" QcnnStatus qcnn_read_metadata(const void* model, size_t size, const char** json,
                                         size_t* json_size) {
  if (model == nullptr || json == nullptr || json_size == nullptr) return QCNN_INVALID_ARGUMENT;
  const uint8_t* data = nullptr;
  *json_size = 0;
  const QcnnStatus status = qcnn::find_in(model, size, "qcnn_tflite", &data, json_size);
  *json = reinterpret_cast<const char*>(data);
  return status;
}

extern "C" QcnnStatus qcnn_read_mean_image(const void* model, size_t size, const void** values,
                                           size_t* values_size) {
  if (model == nullptr || values == nullptr || values_size == nullptr) return QCNN_INVALID_ARGUMENT;
  const uint8_t* data = nullptr;
  *values_size = 0;
  const QcnnStatus status =
      qcnn::find_in(model, size, "qcnn_tflite.mean_image", &data, values_size);
  *values = data;
  return status;
}
