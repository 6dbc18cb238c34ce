// The inner loops that the lookups are compared with: tiles of a matrix product from packed panels,
// as libraries for ARM have them. Only benchmarks/arm_mca.py reads this, from the assembly.
#include <arm_neon.h>

#include <cstdint>

// c[r][n] += sum of a[k][r] * b[k][n]: 24 accumulators of four floats in 6 rows of 16 columns.
extern "C" void fma_6x16(const float* a, const float* b, int64_t depth, float* c) {
  float32x4_t sum[6][4];
  for (int r = 0; r < 6; ++r) {
    for (int n = 0; n < 4; ++n) sum[r][n] = vld1q_f32(c + 16 * r + 4 * n);
  }
  for (int64_t k = 0; k < depth; ++k, a += 6, b += 16) {
    const float32x4_t a0 = vld1q_f32(a);
    const float32x2_t a1 = vld1_f32(a + 4);
    for (int n = 0; n < 4; ++n) {
      const float32x4_t column = vld1q_f32(b + 4 * n);
      sum[0][n] = vfmaq_laneq_f32(sum[0][n], column, a0, 0);
      sum[1][n] = vfmaq_laneq_f32(sum[1][n], column, a0, 1);
      sum[2][n] = vfmaq_laneq_f32(sum[2][n], column, a0, 2);
      sum[3][n] = vfmaq_laneq_f32(sum[3][n], column, a0, 3);
      sum[4][n] = vfmaq_lane_f32(sum[4][n], column, a1, 0);
      sum[5][n] = vfmaq_lane_f32(sum[5][n], column, a1, 1);
    }
  }
  for (int r = 0; r < 6; ++r) {
    for (int n = 0; n < 4; ++n) vst1q_f32(c + 16 * r + 4 * n, sum[r][n]);
  }
}

// The same in 8 rows of 12 columns.
extern "C" void fma_8x12(const float* a, const float* b, int64_t depth, float* c) {
  float32x4_t sum[8][3];
  for (int r = 0; r < 8; ++r) {
    for (int n = 0; n < 3; ++n) sum[r][n] = vld1q_f32(c + 12 * r + 4 * n);
  }
  for (int64_t k = 0; k < depth; ++k, a += 8, b += 12) {
    const float32x4_t a0 = vld1q_f32(a), a1 = vld1q_f32(a + 4);
    for (int n = 0; n < 3; ++n) {
      const float32x4_t column = vld1q_f32(b + 4 * n);
      sum[0][n] = vfmaq_laneq_f32(sum[0][n], column, a0, 0);
      sum[1][n] = vfmaq_laneq_f32(sum[1][n], column, a0, 1);
      sum[2][n] = vfmaq_laneq_f32(sum[2][n], column, a0, 2);
      sum[3][n] = vfmaq_laneq_f32(sum[3][n], column, a0, 3);
      sum[4][n] = vfmaq_laneq_f32(sum[4][n], column, a1, 0);
      sum[5][n] = vfmaq_laneq_f32(sum[5][n], column, a1, 1);
      sum[6][n] = vfmaq_laneq_f32(sum[6][n], column, a1, 2);
      sum[7][n] = vfmaq_laneq_f32(sum[7][n], column, a1, 3);
    }
  }
  for (int r = 0; r < 8; ++r) {
    for (int n = 0; n < 3; ++n) vst1q_f32(c + 12 * r + 4 * n, sum[r][n]);
  }
}

// int8, four deep at a time: a[k][8][4], b[k][8][4]; 16 accumulators of four int32.
extern "C" void sdot_8x8(const int8_t* a, const int8_t* b, int64_t depth, int32_t* c) {
  int32x4_t sum[8][2];
  for (int r = 0; r < 8; ++r) {
    for (int n = 0; n < 2; ++n) sum[r][n] = vld1q_s32(c + 8 * r + 4 * n);
  }
  for (int64_t k = 0; k < depth; ++k, a += 32, b += 32) {
    const int8x16_t a0 = vld1q_s8(a), a1 = vld1q_s8(a + 16);
    for (int n = 0; n < 2; ++n) {
      const int8x16_t column = vld1q_s8(b + 16 * n);
      sum[0][n] = vdotq_laneq_s32(sum[0][n], column, a0, 0);
      sum[1][n] = vdotq_laneq_s32(sum[1][n], column, a0, 1);
      sum[2][n] = vdotq_laneq_s32(sum[2][n], column, a0, 2);
      sum[3][n] = vdotq_laneq_s32(sum[3][n], column, a0, 3);
      sum[4][n] = vdotq_laneq_s32(sum[4][n], column, a1, 0);
      sum[5][n] = vdotq_laneq_s32(sum[5][n], column, a1, 1);
      sum[6][n] = vdotq_laneq_s32(sum[6][n], column, a1, 2);
      sum[7][n] = vdotq_laneq_s32(sum[7][n], column, a1, 3);
    }
  }
  for (int r = 0; r < 8; ++r) {
    for (int n = 0; n < 2; ++n) vst1q_s32(c + 8 * r + 4 * n, sum[r][n]);
  }
}

// Table building by SDOT, what the half precision one was chosen against: codewords of eight int8,
// inputs as two planes of int8 (x = 256 high + low), 8 lanes at a time. x: [2][2][32][4].
extern "C" void sdot_table(const int8_t* words, int64_t K, const int8_t* x, int16_t* table) {
  int8x16_t in[2][2][4];
  for (int plane = 0; plane < 2; ++plane) {
    for (int q = 0; q < 2; ++q) {
      for (int i = 0; i < 4; ++i) in[plane][q][i] = vld1q_s8(x + 128 * (2 * plane + q) + 16 * i);
    }
  }
  for (int64_t k = 0; k < K; ++k, words += 8, table += 32) {
    const int8x8_t word = vld1_s8(words);
    for (int i = 0; i < 4; i += 2) {
      int32x4_t sum[2];
      for (int h = 0; h < 2; ++h) {
        int32x4_t high = vdupq_n_s32(0);
        high = vdotq_lane_s32(high, in[0][0][i + h], word, 0);
        high = vdotq_lane_s32(high, in[0][1][i + h], word, 1);
        sum[h] = vshlq_n_s32(high, 8);
        sum[h] = vdotq_lane_s32(sum[h], in[1][0][i + h], word, 0);
        sum[h] = vdotq_lane_s32(sum[h], in[1][1][i + h], word, 1);
      }
      vst1q_s16(table + 4 * i, vrshrn_high_n_s32(vrshrn_n_s32(sum[0], 8), sum[1], 8));
    }
  }
}
