#include "tflite/constants.h"

#include <cmath>
#include <cstring>

#include "core/decode.h"

namespace qcnn {
namespace {

// Product of a tensor's dimensions times `item`, or -1 for a bad shape or one over 2^40 bytes.
int64_t shape_bytes(const TfLiteTensor& t, int64_t item) {
  int64_t total = item;
  for (int i = 0; i < t.dims->size; ++i) {
    const int64_t n = t.dims->data[i];
    if (n < 1 || total > (int64_t{1} << 40) / n) return -1;
    total *= n;
  }
  return total;
}

bool is_constant(const TfLiteTensor* t) {
  return t != nullptr && t->data != nullptr && t->dims != nullptr &&
         (t->allocation_type == kTfLiteMmapRo || t->allocation_type == kTfLitePersistentRo);
}

bool check(const TfLiteTensor* t, const char* what, int rank, int64_t item, std::string* error) {
  if (!is_constant(t)) {
    *error = std::string("its tensor of ") + what + " is not a constant";
    return false;
  }
  if (t->dims->size != rank) {
    *error = std::string("expected ") + what + " of rank " + std::to_string(rank) + ", got " +
             std::to_string(t->dims->size);
    return false;
  }
  const int64_t expected = shape_bytes(*t, item);
  if (expected < 0 || static_cast<uint64_t>(expected) != t->bytes) {
    *error = std::string("its tensor of ") + what + " holds " + std::to_string(t->bytes) +
             " bytes, not what its shape says";
    return false;
  }
  return true;
}

// The file may place constants on any multiple of 4, so they are copied, never cast.
float float_at(const TfLiteTensor& t, int64_t i) {
  float value;
  std::memcpy(&value, static_cast<const char*>(t.data) + 4 * i, 4);
  return value;
}

bool read_vector(const TfLiteTensor* t, const char* what, int64_t count, std::vector<float>* out,
                 std::string* error) {
  out->clear();
  if (t == nullptr) return true;
  if (!check(t, what, 1, 4, error)) return false;
  if (t->type != kTfLiteFloat32 || t->dims->data[0] != count) {
    *error = std::string("expected ") + std::to_string(count) + " float32 values of " + what;
    return false;
  }
  out->resize(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const float value = float_at(*t, i);
    if (!std::isfinite(value)) {
      *error = std::string("a value of its ") + what + " is NaN or infinite";
      return false;
    }
    (*out)[static_cast<size_t>(i)] = value;
  }
  return true;
}

// Scale of each codebook in int8: [codebook_count].
bool read_scales(const TfLiteTensor& t, int64_t count, std::vector<float>* scales,
                 std::string* error) {
  *error = "int8 codebooks need a positive scale and a zero point of 0 for each codebook";
  const auto* q = static_cast<const TfLiteAffineQuantization*>(t.quantization.params);
  if (t.quantization.type != kTfLiteAffineQuantization || q == nullptr || q->scale == nullptr ||
      q->scale->size != count || q->quantized_dimension != 0) {
    return false;
  }
  if (q->zero_point != nullptr) {
    for (int i = 0; i < q->zero_point->size; ++i) {
      if (q->zero_point->data[i] != 0) return false;
    }
  }
  scales->assign(q->scale->data, q->scale->data + count);
  for (float scale : *scales) {
    if (!std::isfinite(scale) || !(scale > 0.0f)) return false;
  }
  error->clear();
  return true;
}

bool read_codebooks(const TfLiteTensor& t, Codes* codes, std::string* error) {
  const int64_t words = codes->K * codes->d;
  const int64_t total = codes->codebook_count * words;
  codes->codebooks.resize(static_cast<size_t>(total));
  std::vector<float> scales;
  if (t.type == kTfLiteInt8 && !read_scales(t, codes->codebook_count, &scales, error)) {
    return false;
  }
  for (int64_t i = 0; i < total; ++i) {
    float value = 0.0f;
    if (t.type == kTfLiteFloat32) {
      value = float_at(t, i);
    } else if (t.type == kTfLiteFloat16) {
      uint16_t half;
      std::memcpy(&half, static_cast<const char*>(t.data) + 2 * i, 2);
      value = half_to_float(half);
    } else {
      value = scales[static_cast<size_t>(i / words)] * static_cast<const int8_t*>(t.data)[i];
    }
    if (!std::isfinite(value)) {
      *error = "a codeword is NaN or infinite";
      return false;
    }
    codes->codebooks[static_cast<size_t>(i)] = value;
  }
  return true;
}

}  // namespace

bool read_constants(const Options& o, const TfLiteTensor* codebooks, const TfLiteTensor* packed,
                    const TfLiteTensor* bias, const TfLiteTensor* scale, Codes* codes,
                    std::string* error) {
  const int64_t item = codebooks == nullptr                ? 0
                       : codebooks->type == kTfLiteFloat32 ? 4
                       : codebooks->type == kTfLiteFloat16 ? 2
                       : codebooks->type == kTfLiteInt8    ? 1
                                                           : 0;
  if (item == 0) {
    *error = "its codebooks are not float32, float16 or int8";
    return false;
  }
  if (!check(codebooks, "codebooks", 3, item, error)) return false;
  codes->codebook_count = codebooks->dims->data[0];
  codes->K = codebooks->dims->data[1];
  codes->d = codebooks->dims->data[2];
  const int64_t channels = o.in_channels / o.groups;
  codes->M = (channels + codes->d - 1) / codes->d;
  if (codes->K > 256 || code_bits(codes->K) != o.bits) {
    *error = std::to_string(codes->K) + " codewords do not fit codes of " + std::to_string(o.bits) +
             " bits";
    return false;
  }
  if (codes->codebook_count != 1 && codes->codebook_count != codes->M &&
      codes->codebook_count != o.groups * codes->M) {
    *error = "expected 1, " + std::to_string(codes->M) + " or " +
             std::to_string(o.groups * codes->M) + " codebooks, got " +
             std::to_string(codes->codebook_count);
    return false;
  }
  if (!check(packed, "codes", 2, 1, error)) return false;
  // Options are at most 2^20 each: three of them fit 64 bits only just, times 8 bits they may not.
  const int64_t taps = o.kernel_h * o.kernel_w;
  if (taps > (int64_t{1} << 40) / o.out_channels) {
    *error = "the kernel is too large";
    return false;
  }
  const int64_t count = o.out_channels * taps;
  const int64_t row = (count * o.bits + 7) / 8;
  if (packed->type != kTfLiteUInt8 || packed->dims->data[0] != codes->M ||
      packed->dims->data[1] != row) {
    *error = "expected uint8 codes of shape [" + std::to_string(codes->M) + ", " +
             std::to_string(row) + "]";
    return false;
  }
  codes->codes.resize(static_cast<size_t>(codes->M * count));
  for (int64_t m = 0; m < codes->M; ++m) {
    if (!unpack_row(static_cast<const uint8_t*>(packed->data) + m * row, count,
                    static_cast<int>(o.bits), codes->K, codes->codes.data() + m * count)) {
      *error = "a code of subspace " + std::to_string(m) +
               " points behind its codebook, or a bit behind the last code is set";
      return false;
    }
  }
  return read_codebooks(*codebooks, codes, error) &&
         read_vector(bias, "bias", o.out_channels, &codes->bias, error) &&
         read_vector(scale, "scale", o.out_channels, &codes->scale, error);
}

}  // namespace qcnn
