// The fast fully-connected layer's primitives for every ARM CPU with NEON: aarch64 and armv7.
//
// A table's int16 entries are kept as two planes of bytes, so that the byte lookups TBL (aarch64:
// 16 lanes in up to 64 bytes) and VTBL (armv7: 8 lanes in up to 32) find both halves of an entry;
// the bytes then meet in one int16 by interleaving. Codes are packed so that a shift and a mask are
// all that unpacking takes: two codes of 4 bits in a byte (K <= 16), else one in a byte.
#include "core/fc_ops.h"

#if defined(__ARM_NEON)
#include <arm_neon.h>

namespace qcnn {
namespace {

int64_t unit(int64_t K) { return K <= 16 ? 2 : 1; }

int64_t unit_bytes(int64_t) { return kFcBlock; }

void pack(int64_t K, const uint8_t* codes, unsigned char* packed) {
  for (int64_t c = 0; c < kFcBlock; ++c) {
    packed[c] =
        K <= 16 ? static_cast<unsigned char>(codes[c] | codes[kFcBlock + c] << 4) : codes[c];
  }
}

void unpack(int64_t K, const unsigned char* packed, uint8_t* codes) {
  for (int64_t c = 0; c < kFcBlock; ++c) {
    if (K <= 16) {
      codes[c] = packed[c] & 15;
      codes[kFcBlock + c] = packed[c] >> 4;
    } else {
      codes[c] = packed[c];
    }
  }
}

// Eight entries at a time: their words are pairs, and pairwise sums are what the table wants.
void build(const FcBuild& b) {
  for (int64_t m = 0; m < b.subspaces; ++m) {
    const int16_t* words = b.words + m * b.words_stride;
    const int16_t* x = b.x + m * b.pairs * 2;
    unsigned char* low = b.table + m * b.entries * 2;
    unsigned char* high = low + b.entries;
    for (int64_t k = 0; k < b.entries; k += 8) {
      int32x4_t sum[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
      for (int64_t j = 0; j < b.pairs; ++j) {
        const int16x8x2_t word = vld2q_s16(words + 2 * (j * b.entries + k));
        for (int h = 0; h < 2; ++h) {
          sum[0] = vmlal_n_s16(sum[0], vget_low_s16(word.val[h]), x[2 * j + h]);
          sum[1] = vmlal_n_s16(sum[1], vget_high_s16(word.val[h]), x[2 * j + h]);
        }
      }
      const uint16x8_t entries =
          vreinterpretq_u16_s16(vcombine_s16(vrshrn_n_s32(sum[0], 16), vrshrn_n_s32(sum[1], 16)));
      vst1_u8(low + k, vmovn_u16(entries));
      vst1_u8(high + k, vshrn_n_u16(entries, 8));
    }
  }
}

// A plane of kEntries bytes in registers, and 16 of its bytes by their codes.
template <int kEntries>
struct Plane {
#if defined(__aarch64__)
  static constexpr int kRegisters = kEntries / 16;
  uint8x16_t r[kRegisters];

  explicit Plane(const unsigned char* bytes) {
    for (int i = 0; i < kRegisters; ++i) r[i] = vld1q_u8(bytes + 16 * i);
  }

  uint8x16x4_t four(int i) const {
    return {{r[i % kRegisters], r[(i + 1) % kRegisters], r[(i + 2) % kRegisters],
             r[(i + 3) % kRegisters]}};
  }

  uint8x16_t at(uint8x16_t codes) const {
    if constexpr (kEntries == 16) {
      return vqtbl1q_u8(r[0], codes);
    } else if constexpr (kEntries == 32) {
      uint8x16_t found = vqtbl2q_u8({{r[0], r[1]}}, codes);
#if defined(__clang__)
      // LLVM 17 (NDK 26, Xcode 16) takes the interleaving of two of these for one of four registers
      // with constant indices, and fails or reads past its operands
      // (tryToConvertShuffleOfTbl2ToTbl4).
      __asm__("" : "+w"(found));
#endif
      return found;
    } else {
      // An index beyond a lookup's 64 bytes gives 0 (TBL) or leaves the lane as it is (TBX).
      uint8x16_t found = vqtbl4q_u8(four(0), codes);
      for (int i = 4; i < kRegisters; i += 4) {
        found =
            vqtbx4q_u8(found, four(i), vsubq_u8(codes, vdupq_n_u8(static_cast<uint8_t>(16 * i))));
      }
      return found;
    }
  }
#else
  static constexpr int kRegisters = kEntries / 8;
  const unsigned char* bytes;

  explicit Plane(const unsigned char* from) : bytes(from) {}

  uint8x8x4_t four(int i) const {
    return {{vld1_u8(bytes + 8 * i), vld1_u8(bytes + 8 * i + 8), vld1_u8(bytes + 8 * i + 16),
             vld1_u8(bytes + 8 * i + 24)}};
  }

  uint8x8_t half(uint8x8_t codes) const {
    if constexpr (kEntries == 16) {
      return vtbl2_u8({{vld1_u8(bytes), vld1_u8(bytes + 8)}}, codes);
    } else {
      uint8x8_t found = vtbl4_u8(four(0), codes);
      for (int i = 4; i < kRegisters; i += 4) {
        found = vtbx4_u8(found, four(i), vsub_u8(codes, vdup_n_u8(static_cast<uint8_t>(8 * i))));
      }
      return found;
    }
  }

  uint8x16_t at(uint8x16_t codes) const {
    return vcombine_u8(half(vget_low_u8(codes)), half(vget_high_u8(codes)));
  }
#endif
};

// sum[0], sum[1] += the entries of 16 codes.
template <int kEntries>
inline void add_entries(const Plane<kEntries>& low, const Plane<kEntries>& high, uint8x16_t codes,
                        int16x8_t* sum) {
  const uint8x16x2_t entry = vzipq_u8(low.at(codes), high.at(codes));
  sum[0] = vaddq_s16(sum[0], vreinterpretq_s16_u8(entry.val[0]));
  sum[1] = vaddq_s16(sum[1], vreinterpretq_s16_u8(entry.val[1]));
}

// Outputs whose sums stay in registers while the units go by. Codes of all units are read for each
// such group, in steps of unit_bytes(): whole cache lines, so nothing is fetched twice.
constexpr int kGroup = 64;

template <int kEntries>
void add_group(const unsigned char* packed, int64_t units, const unsigned char* table,
               int16x8_t* sum) {
  for (int64_t u = 0; u < units; ++u, packed += kFcBlock) {
    const Plane<kEntries> low(table), high(table + kEntries);
    table += 2 * kEntries;
    if constexpr (kEntries == 16) {
      const Plane<kEntries> low1(table), high1(table + kEntries);
      table += 2 * kEntries;
      for (int i = 0; i < kGroup / 16; ++i) {
        const uint8x16_t codes = vld1q_u8(packed + 16 * i);
        add_entries(low, high, vandq_u8(codes, vdupq_n_u8(15)), sum + 2 * i);
        add_entries(low1, high1, vshrq_n_u8(codes, 4), sum + 2 * i);
      }
    } else {
      for (int i = 0; i < kGroup / 16; ++i) {
        add_entries(low, high, vld1q_u8(packed + 16 * i), sum + 2 * i);
      }
    }
  }
}

void add(int64_t K, const unsigned char* packed, int64_t units, const unsigned char* table,
         float factor, bool first, float* sums) {
  for (int64_t c = 0; c < kFcBlock; c += kGroup) {
    int16x8_t sum[kGroup / 8];
    for (int i = 0; i < kGroup / 8; ++i) sum[i] = vdupq_n_s16(0);
    if (K <= 16) {
      add_group<16>(packed + c, units, table, sum);
    } else if (K <= 32) {
      add_group<32>(packed + c, units, table, sum);
    } else if (K <= 64) {
      add_group<64>(packed + c, units, table, sum);
    } else if (K <= 128) {
      add_group<128>(packed + c, units, table, sum);
    } else {
      add_group<256>(packed + c, units, table, sum);
    }
    for (int i = 0; i < kGroup / 8; ++i) {
      const int32x4_t halves[2] = {vmovl_s16(vget_low_s16(sum[i])),
                                   vmovl_s16(vget_high_s16(sum[i]))};
      for (int h = 0; h < 2; ++h) {
        float* to = sums + c + 8 * i + 4 * h;
        const float32x4_t before = first ? vdupq_n_f32(0) : vld1q_f32(to);
        vst1q_f32(to, vmlaq_n_f32(before, vcvtq_f32_s32(halves[h]), factor));
      }
    }
  }
}

float energy(const float* x, int64_t count) {
  float32x4_t sum[2] = {vdupq_n_f32(0), vdupq_n_f32(0)};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const float32x4_t a = vld1q_f32(x + i), b = vld1q_f32(x + i + 4);
    sum[0] = vmlaq_f32(sum[0], a, a);
    sum[1] = vmlaq_f32(sum[1], b, b);
  }
  const float32x4_t four = vaddq_f32(sum[0], sum[1]);
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  float total = vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
  for (; i < count; ++i) total += x[i] * x[i];
  return total;
}

constexpr FcOps kOps = {16, unit, unit_bytes, pack, unpack, build, add, energy};

}  // namespace

const FcOps* fc_ops_neon() { return &kOps; }

}  // namespace qcnn
#else
namespace qcnn {
const FcOps* fc_ops_neon() { return nullptr; }
}  // namespace qcnn
#endif
