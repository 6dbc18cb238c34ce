// The readers of whole files: qcnn_check_model(), qcnn_read_metadata(), qcnn_read_mean_image().
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "qcnn/qcnn_ops.h"

namespace {

void expect(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "FINDING: %s\n", what);
  std::abort();
}

// Whether what a reader found lies inside the file; every byte of it is read.
void inside(const uint8_t* data, size_t size, const void* found, size_t found_size) {
  const auto* first = static_cast<const uint8_t*>(found);
  expect(first >= data && found_size <= size && first + found_size <= data + size, "outside");
  unsigned sum = 0;
  for (size_t i = 0; i < found_size; ++i) sum += first[i];
  volatile unsigned used = sum;
  (void)used;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  QcnnModelInfo info;
  const QcnnStatus checked = qcnn_check_model(data, size, &info);
  expect(checked == QCNN_OK || checked == QCNN_DAMAGED, "a status that is not documented");
  if (info.foreign_op != nullptr) inside(data, size, info.foreign_op, info.foreign_op_size);
  const char* json = nullptr;
  size_t json_size = 0;
  if (qcnn_read_metadata(data, size, &json, &json_size) == QCNN_OK) {
    inside(data, size, json, json_size);
  }
  const void* image = nullptr;
  size_t image_size = 0;
  if (qcnn_read_mean_image(data, size, &image, &image_size) == QCNN_OK) {
    inside(data, size, image, image_size);
  }
  return 0;
}
