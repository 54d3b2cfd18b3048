// Small kernels, one per verb of kernels/cuda/device/, and how to launch them. The same source is
// compiled for the harness and by nvcc, so that each verb's device half can be held against its
// host half.
#pragma once

#include <cstdint>

namespace diabolo::verbs {

// One warp: c += A * B for raw fragments, [32] lanes each.
struct MmaCall {
  const std::uint32_t* a;  // [32][4]
  const std::uint32_t* b;  // [32][2]
  float* c;                // [32][4], in and out
};
void launch_mma_bf16(const MmaCall& call, void* stream);
void launch_mma_tf32(const MmaCall& call, void* stream);

// One warp: `count` (1, 2 or 4) 8 x 8 matrices from 8 * count rows of 8 elements.
struct LdmatrixCall {
  int count;
  bool is_transposed;
  const std::uint16_t* rows;  // [8 * count][8]
  std::uint32_t* registers;   // [32][count]
};
void launch_ldmatrix(const LdmatrixCall& call, void* stream);

// One block of 64 threads, two groups of copies of `bytes` (4, 8 or 16) each, of which
// `valid_bytes` are read; out[g][t] is the chunk that thread 63 - t copied in group g.
struct CopyCall {
  int bytes;
  int valid_bytes;
  const unsigned char* src;  // [2][64][bytes]
  unsigned char* out;        // [2][64][bytes]
};
void launch_copy(const CopyCall& call, void* stream);

// One block of 96 threads. Each output is [96]; in is [96].
struct WarpCall {
  const float* in;
  float* from_lane_5;
  float* from_xor_9;
  float* from_half_warp;  // shuffle_xor 3 within halves, each half with its own mask
  float* sum_of_warp;
  float* sum_of_block;
};
void launch_warp(const WarpCall& call, void* stream);

// One block of 32 threads: conversions of in[64], copied by vectors of 16, 8 and 4 bytes.
struct ConvertCall {
  const float* in;        // [64]
  std::uint32_t* packed;  // [32]: bf16 of in[2 t], in[2 t + 1]
  float* unpacked;        // [64]
  std::uint32_t* tf32;    // [64]
  float* copied;          // [64]
};
void launch_convert(const ConvertCall& call, void* stream);

}  // namespace diabolo::verbs
