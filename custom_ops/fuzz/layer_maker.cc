#include "fuzz/layer_maker.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/decode.h"
#include "fuzz/flexbuffers_writer.h"

namespace qcnn {
namespace {

uint64_t next_random(uint64_t* state) {  // splitmix64
  uint64_t z = (*state += 0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

template <typename T>
std::vector<uint8_t> bytes_of(const std::vector<T>& values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// Rounded towards zero; normal numbers only.
uint16_t half_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const int exponent = static_cast<int>(bits >> 23 & 255) - 127 + 15;
  const uint32_t sign = bits >> 16 & 0x8000;
  if (exponent <= 0) return static_cast<uint16_t>(sign);
  if (exponent >= 31) return static_cast<uint16_t>(sign | 0x7bff);
  return static_cast<uint16_t>(sign | static_cast<uint32_t>(exponent) << 10 | (bits >> 13 & 1023));
}

class Maker {
 public:
  Maker(FuzzedDataProvider* from, OpKind kind) : from_(*from) { layer_.kind = kind; }

  MadeLayer make() {
    layer_.kernel = static_cast<size_t>(range(0, 11));
    layer_.all_kernels = range(0, 7) == 7;
    sizes();
    constants();
    input();
    write_options();
    layer_.threads = from_.ConsumeIntegralInRange(0, 15) == 15 ? 3 : 1;
    const int changes = from_.ConsumeIntegralInRange(0, 7);
    for (int i = 4; i < changes; ++i) change();
    return std::move(layer_);
  }

 private:
  int64_t range(int64_t low, int64_t high) { return from_.ConsumeIntegralInRange(low, high); }

  void sizes() {
    Options& o = layer_.meaning;
    o.activation = range(0, 3);
    codes().K = range(0, 3) == 0 ? range(1, 256) : int64_t{1} << range(0, 6);
    codes().d = range(1, 9);
    o.bits = code_bits(codes().K);
    if (layer_.kind == OpKind::kFc) {
      o.in_channels = range(1, 70);
      o.out_channels = range(1, 70);
      o.keep_num_dims = range(0, 1);
      rows_ = range(0, 3) == 0 ? range(1, 40) : range(1, 3);
      return;
    }
    o.groups = range(0, 3) == 0 ? range(1, 4) : 1;
    o.in_channels = o.groups * range(1, 20);
    o.out_channels = o.groups * (range(0, 3) == 0 ? range(1, 40) : range(1, 8));
    o.kernel_h = range(1, 4);
    o.kernel_w = range(0, 7) == 0 ? range(1, 13) : range(1, 4);
    o.stride_h = range(0, 1) == 0 ? 1 : range(1, 5);
    o.stride_w = range(0, 1) == 0 ? 1 : range(1, 5);
    o.dilation_h = range(0, 3) == 0 ? range(1, 9) : 1;
    o.dilation_w = range(0, 3) == 0 ? range(1, 17) : 1;
    o.padding = static_cast<Padding>(range(0, 2));
    if (o.padding == Padding::kExplicit) {
      o.pad_top = range(0, 6);
      o.pad_bottom = range(0, 6);
      o.pad_left = range(0, 6);
      o.pad_right = range(0, 6);
    }
    batch_ = range(0, 7) == 0 ? 2 : 1;
    height_ = range(0, 3) == 0 ? range(1, 40) : range(1, 6);
    width_ = range(0, 3) == 0 ? range(1, 72) : range(1, 10);
    // A few thousand multiplications, so that there are many layers a second.
    const int64_t per_pixel = o.in_channels / o.groups * o.out_channels * o.kernel_h * o.kernel_w;
    const int64_t most = std::max<int64_t>(4000 / per_pixel, 1);
    width_ = std::min(width_, std::max<int64_t>(most, 2));
    height_ = std::min(height_, std::max<int64_t>(most / width_, 2));
  }

  void constants() {
    const Options& o = layer_.meaning;
    Codes& c = codes();
    c.M = (o.in_channels / o.groups + c.d - 1) / c.d;
    const int64_t sharing = range(0, 2);
    c.codebook_count = sharing == 0 ? 1 : sharing == 1 ? c.M : o.groups * c.M;
    const uint64_t seed = from_.ConsumeIntegral<uint16_t>();
    // A power of two beside 1 shows scales that leave float's range.
    const auto power = [&] {
      return static_cast<float>(std::ldexp(1.0, range(0, 3) == 0 ? int(range(-30, 30)) : 0));
    };
    c.codebooks = uniform_floats(seed, static_cast<size_t>(c.codebook_count * c.K * c.d), power());
    MadeTensor& books = layer_.tensors[1];
    books.shape = {int(c.codebook_count), int(c.K), int(c.d)};
    const int64_t type = range(0, 2);
    if (type == 0) {
      books.bytes = bytes_of(c.codebooks);
    } else if (type == 1) {
      books.type = kTfLiteFloat16;
      std::vector<uint16_t> halves;
      for (float& value : c.codebooks) {
        halves.push_back(half_of(value));
        value = half_to_float(halves.back());
      }
      books.bytes = bytes_of(halves);
    } else {
      books.type = kTfLiteInt8;
      layer_.quantized = true;
      layer_.scales = uniform_floats(seed + 1, static_cast<size_t>(c.codebook_count), power());
      layer_.zero_points.assign(layer_.scales.size(), 0);
      for (float& scale : layer_.scales) scale = std::abs(scale) + 1e-12f;
      uint64_t state = seed;
      for (size_t i = 0; i < c.codebooks.size(); ++i) {
        const auto value = static_cast<int8_t>(next_random(&state));
        books.bytes.push_back(static_cast<uint8_t>(value));
        c.codebooks[i] = layer_.scales[i / static_cast<size_t>(c.K * c.d)] * value;
      }
    }
    pack_codes(seed + 2);
    vector(3, seed + 3, power(), &c.bias);
    vector(4, seed + 4, power(), &c.scale);
  }

  void pack_codes(uint64_t state) {
    const Options& o = layer_.meaning;
    Codes& c = codes();
    const int64_t count = o.out_channels * o.kernel_h * o.kernel_w;
    const int64_t row = (count * o.bits + 7) / 8;
    MadeTensor& packed = layer_.tensors[2];
    packed.type = kTfLiteUInt8;
    packed.shape = {int(c.M), int(row)};
    packed.bytes.assign(static_cast<size_t>(c.M * row), 0);
    // Some bytes of the fuzzer's own: what codes repeat or are 0 may matter.
    const auto given = from_.ConsumeBytes<uint8_t>(static_cast<size_t>(range(0, 16)));
    for (int64_t m = 0; m < c.M; ++m) {
      for (int64_t i = 0; i < count; ++i) {
        const size_t at = c.codes.size();
        const uint64_t from = at < given.size() ? given[at] : next_random(&state);
        const auto code = static_cast<uint8_t>(from % static_cast<uint64_t>(c.K));
        c.codes.push_back(code);
        for (int64_t b = 0; b < o.bits; ++b) {
          const int64_t bit = i * o.bits + b;
          if (code >> b & 1) {
            packed.bytes[static_cast<size_t>(m * row + bit / 8)] |=
                static_cast<uint8_t>(1 << bit % 8);
          }
        }
      }
    }
  }

  void vector(int index, uint64_t seed, float size, std::vector<float>* values) {
    MadeTensor& tensor = layer_.tensors[index];
    if (range(0, 1) == 0) {
      layer_.inputs[static_cast<size_t>(index)] = kTfLiteOptionalTensor;
      tensor.shape = {1};
      tensor.bytes.assign(4, 0);
      return;
    }
    *values = uniform_floats(seed, static_cast<size_t>(layer_.meaning.out_channels), size);
    tensor.shape = {int(values->size())};
    tensor.bytes = bytes_of(*values);
  }

  void input() {
    const Options& o = layer_.meaning;
    MadeTensor& input = layer_.tensors[0];
    input.allocation = range(0, 7) == 0 ? kTfLiteDynamic : kTfLiteArenaRw;
    if (layer_.kind == OpKind::kConv) {
      input.shape = {int(batch_), int(height_), int(width_), int(o.in_channels)};
      if (range(0, 7) == 0) {
        layer_.second_shape = {int(range(1, 2)), int(range(1, 6)), int(range(1, 40)),
                               int(o.in_channels)};
      }
    } else {
      input.shape = {int(rows_), int(o.in_channels)};
      if (range(0, 7) == 0) input.shape.insert(input.shape.begin(), 1);
      if (range(0, 7) == 0) layer_.second_shape = {int(range(1, 20)), int(o.in_channels)};
    }
    size_t count = 1;
    for (int size : input.shape) count *= static_cast<size_t>(size);
    const int power = range(0, 3) == 0 ? int(range(-30, 30)) : 0;
    auto values = uniform_floats(from_.ConsumeIntegral<uint8_t>(), count,
                                 static_cast<float>(std::ldexp(1.0, power)));
    for (int64_t odd = range(0, 9) - 7; odd > 0; --odd) {
      layer_.ordinary = false;
      values[static_cast<size_t>(range(0, int64_t(count) - 1))] = odd_float();
    }
    input.bytes = bytes_of(values);
    layer_.tensors[5].shape = {1};
    layer_.tensors[5].bytes.assign(4, 0);
    layer_.tensors[5].allocation = kTfLiteArenaRw;
  }

  float odd_float() {
    using Limits = std::numeric_limits<float>;
    return from_.PickValueInArray({0.0f, -0.0f, 1e10f, -1e10f, 1e-30f, Limits::max(),
                                   Limits::lowest(), Limits::denorm_min(), 1e19f, 3e-39f,
                                   Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()});
  }

  void write_options() {
    const Options& o = layer_.meaning;
    auto& map = layer_.option_map;
    map = {{"activation", o.activation}, {"bits", o.bits}};
    if (layer_.kind == OpKind::kConv) {
      map.insert(map.end(), {{"dilation_h", o.dilation_h},
                             {"dilation_w", o.dilation_w},
                             {"groups", o.groups},
                             {"in_channels", o.in_channels},
                             {"kernel_h", o.kernel_h},
                             {"kernel_w", o.kernel_w},
                             {"out_channels", o.out_channels},
                             {"pad_bottom", o.pad_bottom},
                             {"pad_left", o.pad_left},
                             {"pad_right", o.pad_right},
                             {"pad_top", o.pad_top},
                             {"padding", int64_t(o.padding)},
                             {"stride_h", o.stride_h},
                             {"stride_w", o.stride_w}});
    } else {
      map.insert(map.end(), {{"in_channels", o.in_channels},
                             {"keep_num_dims", o.keep_num_dims},
                             {"out_channels", o.out_channels}});
    }
    map.push_back({"version", 1});
    layer_.options = write_integer_map(map, 4);
  }

  // One field changed.
  void change() {
    layer_.changed = true;
    MadeTensor& tensor = layer_.tensors[range(0, 5)];
    const auto pick = [&](size_t size) {
      return static_cast<size_t>(range(0, static_cast<int64_t>(size) - 1));
    };
    switch (range(0, 14)) {
      case 0:
      case 1:
      case 2: {
        auto& map = layer_.option_map;
        if (map.empty()) break;
        map[pick(map.size())].second = odd_number(&from_);
        layer_.options = write_integer_map(map, size_t{1} << range(1, 3));
        break;
      }
      case 3:
        if (!layer_.option_map.empty()) {
          const size_t at = pick(layer_.option_map.size());
          layer_.option_map.erase(layer_.option_map.begin() + static_cast<std::ptrdiff_t>(at));
        }
        if (range(0, 1) == 1) {
          layer_.option_map.push_back({from_.ConsumeRandomLengthString(8), odd_number(&from_)});
        }
        layer_.options = write_integer_map(layer_.option_map, 4);
        break;
      case 4:
        if (!layer_.options.empty()) {
          layer_.options[pick(layer_.options.size())] = from_.ConsumeIntegral<uint8_t>();
        }
        break;
      case 5:
        layer_.options.resize(pick(layer_.options.size() + 1));
        break;
      case 6:
      case 7:
        if (!tensor.shape.empty()) {
          tensor.shape[pick(tensor.shape.size())] = static_cast<int>(odd_number(&from_));
        }
        break;
      case 8:
        if (range(0, 1) == 0 && !tensor.shape.empty()) {
          tensor.shape.pop_back();
        } else {
          tensor.shape.push_back(static_cast<int>(range(0, 3)));
        }
        break;
      case 9:
        tensor.type = static_cast<TfLiteType>(
            from_.PickValueInArray({kTfLiteNoType, kTfLiteFloat32, kTfLiteInt32, kTfLiteUInt8,
                                    kTfLiteInt8, kTfLiteFloat16}));
        break;
      case 10:
        // The host believes a sparse tensor's shape without a look at its bytes.
        tensor.bytes.resize(pick(tensor.bytes.size() + 5));
        break;
      case 11:
        if (!tensor.bytes.empty()) {
          const size_t at = pick(tensor.bytes.size());
          if (tensor.type == kTfLiteFloat32 && tensor.bytes.size() >= 4) {
            const float value = odd_float();
            std::memcpy(tensor.bytes.data() + at / 4 * 4 % (tensor.bytes.size() / 4 * 4), &value,
                        4);
          } else {
            tensor.bytes[at] = from_.ConsumeIntegral<uint8_t>();
          }
        }
        break;
      case 12:
        tensor.allocation =
            from_.PickValueInArray({kTfLiteMemNone, kTfLiteMmapRo, kTfLiteArenaRw,
                                    kTfLiteArenaRwPersistent, kTfLiteDynamic, kTfLitePersistentRo});
        tensor.no_data = range(0, 3) == 0;
        tensor.no_dims = range(0, 7) == 0;
        break;
      case 13: {
        auto& indices = range(0, 3) == 0 ? layer_.outputs : layer_.inputs;
        if (range(0, 3) == 0) {
          indices.resize(static_cast<size_t>(range(0, 6)), 0);
        } else if (!indices.empty()) {
          indices[pick(indices.size())] = static_cast<int>(range(-2, 6));
        }
        break;
      }
      default:
        switch (range(0, 4)) {
          case 0:
            layer_.quantized = !layer_.quantized;
            break;
          case 1:
            layer_.scales.resize(static_cast<size_t>(range(0, 4)), 1.0f);
            break;
          case 2:
            if (!layer_.scales.empty()) layer_.scales[pick(layer_.scales.size())] = odd_float();
            break;
          case 3:
            layer_.zero_points.assign(static_cast<size_t>(range(0, 3)),
                                      static_cast<int>(range(0, 1)));
            break;
          default:
            layer_.quantized_dimension = static_cast<int>(range(-1, 3));
        }
    }
  }

  Codes& codes() { return layer_.codes; }

  FuzzedDataProvider& from_;
  MadeLayer layer_;
  int64_t rows_ = 1, batch_ = 1, height_ = 1, width_ = 1;
};

}  // namespace

MadeLayer make_layer(FuzzedDataProvider* from, OpKind kind) { return Maker(from, kind).make(); }

std::vector<float> uniform_floats(uint64_t seed, size_t count, float size) {
  std::vector<float> values(count);
  for (float& value : values) {
    value = (static_cast<float>(next_random(&seed) >> 40) - 8388607.5f) / 8388608.0f * size;
  }
  return values;
}

int64_t odd_number(FuzzedDataProvider* from) {
  if (from->ConsumeBool()) return from->ConsumeIntegralInRange<int64_t>(0, 20);
  return from->PickValueInArray<int64_t>({-1, -2, 31, 32, 33, 255, 256, 257, 1023, 65535, 65536,
                                          (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 1 << 30, INT32_MAX,
                                          INT32_MIN, INT64_MAX, INT64_MIN});
}

void place(const MadeTensor& tensor, int index, Host* host) {
  host->set(index, tensor.shape, tensor.bytes, tensor.type, tensor.allocation);
  if (tensor.no_data) (*host)[index].data = nullptr;
  if (tensor.no_dims) (*host)[index].dims = nullptr;
}

}  // namespace qcnn
