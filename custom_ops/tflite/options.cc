#include "tflite/options.h"

#include "tflite/flexbuffers_map.h"

namespace qcnn {
namespace {

constexpr int64_t kVersion = 1;
// No network comes near; it keeps every product of two options inside 64 bits.
constexpr int64_t kMaxValue = int64_t{1} << 20;

struct Rule {
  const char* key;
  int64_t low, high;
  int64_t* value;
};

}  // namespace

bool read_options(OpKind kind, const uint8_t* data, size_t size, Options* o, std::string* error) {
  IntegerMap map;
  if (!read_integer_map(data, size, &map, error)) return false;

  // The version decides what the other keys mean, so it is looked at first.
  int64_t version = 0;
  for (const auto& entry : map) {
    if (entry.first == "version") version = entry.second;
  }
  if (version == 0) {
    *error = "option version is missing";
    return false;
  }
  if (version != kVersion) {
    *error = "the layer has version " + std::to_string(version) + ", this library reads version " +
             std::to_string(kVersion) + "; update qcnn_tflite";
    return false;
  }
  int64_t padding = static_cast<int64_t>(Padding::kValid);
  const Rule common[] = {
      {"version", kVersion, kVersion, &version},
      {"bits", 1, 8, &o->bits},
      {"activation", 0, 3, &o->activation},
      {"in_channels", 1, kMaxValue, &o->in_channels},
      {"out_channels", 1, kMaxValue, &o->out_channels},
  };
  const Rule conv[] = {
      {"kernel_h", 1, kMaxValue, &o->kernel_h},     {"kernel_w", 1, kMaxValue, &o->kernel_w},
      {"stride_h", 1, kMaxValue, &o->stride_h},     {"stride_w", 1, kMaxValue, &o->stride_w},
      {"dilation_h", 1, kMaxValue, &o->dilation_h}, {"dilation_w", 1, kMaxValue, &o->dilation_w},
      {"groups", 1, kMaxValue, &o->groups},         {"padding", 0, 2, &padding},
      {"pad_top", 0, kMaxValue, &o->pad_top},       {"pad_bottom", 0, kMaxValue, &o->pad_bottom},
      {"pad_left", 0, kMaxValue, &o->pad_left},     {"pad_right", 0, kMaxValue, &o->pad_right},
  };
  const Rule fc[] = {{"keep_num_dims", 0, 1, &o->keep_num_dims}};

  size_t found = 0;
  const auto take = [&](const Rule& rule) {
    for (const auto& entry : map) {
      if (entry.first != rule.key) continue;
      ++found;
      *rule.value = entry.second;
      if (entry.second >= rule.low && entry.second <= rule.high) return true;
      *error = "option " + entry.first + " is " + std::to_string(entry.second) +
               ", expected from " + std::to_string(rule.low) + " to " + std::to_string(rule.high);
      return false;
    }
    *error = std::string("option ") + rule.key + " is missing";
    return false;
  };
  for (const Rule& rule : common) {
    if (!take(rule)) return false;
  }
  if (kind == OpKind::kConv) {
    for (const Rule& rule : conv) {
      if (!take(rule)) return false;
    }
  } else {
    for (const Rule& rule : fc) {
      if (!take(rule)) return false;
    }
  }
  if (found != map.size()) {
    *error = "the options hold a key that this library does not know; update qcnn_tflite";
    return false;
  }
  o->padding = static_cast<Padding>(padding);
  if (o->in_channels % o->groups != 0 || o->out_channels % o->groups != 0) {
    *error = "the channels do not divide into " + std::to_string(o->groups) + " groups";
    return false;
  }
  if (o->padding != Padding::kExplicit &&
      (o->pad_top | o->pad_bottom | o->pad_left | o->pad_right) != 0) {
    *error = "pads are set without EXPLICIT padding";
    return false;
  }
  return true;
}

}  // namespace qcnn
