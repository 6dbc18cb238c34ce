// The options of an op, a FlexBuffers map, from bytes that may be anything.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "fuzz/flexbuffers_writer.h"
#include "tflite/flexbuffers_map.h"
#include "tflite/options.h"

namespace {

void expect(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "FINDING: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  qcnn::IntegerMap map;
  std::string error;
  const bool read = qcnn::read_integer_map(data, size, &map, &error);
  expect(read == error.empty(), "refused without a sentence, or accepted with one");
  for (auto kind : {qcnn::OpKind::kConv, qcnn::OpKind::kFc}) {
    qcnn::Options options;
    error.clear();
    const bool sound = qcnn::read_options(kind, data, size, &options, &error);
    expect(sound == error.empty(), "refused without a sentence, or accepted with one");
    if (!sound) continue;
    expect(read, "options out of what is no map");
    expect(options.bits >= 1 && options.bits <= 8, "bits");
    expect(options.in_channels >= 1 && options.in_channels <= 1 << 20, "in_channels");
    expect(options.in_channels % options.groups == 0, "groups");
    // The same options, written anew, mean the same.
    const auto again = qcnn::write_integer_map(map, 8);
    qcnn::Options second;
    expect(qcnn::read_options(kind, again.data(), again.size(), &second, &error) &&
               second.out_channels == options.out_channels && second.bits == options.bits &&
               second.padding == options.padding && second.stride_w == options.stride_w,
           "options that do not survive writing");
  }
  return 0;
}
