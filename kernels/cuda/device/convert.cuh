// Roundings from float to what the matrix units read.
#pragma once

#include "kernels/cuda/device/vector.cuh"

namespace diabolo::kernels::gpu {

// Host halves, also callable from a plain host program: the native fragment test compares with
// them.
namespace host {

// Round to nearest even; a NaN becomes 0x7FFF, as cvt.rn.bf16 gives it.
inline std::uint16_t bf16_bits(float value) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return 0x7FFF;
  return static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}

inline float bf16_value(std::uint16_t bf16) {
  const std::uint32_t bits = static_cast<std::uint32_t>(bf16) << 16;
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

// cvt.rna.tf32.f32: 10 mantissa bits, nearest, ties away from zero. Infinities and NaN pass.
inline std::uint32_t tf32_bits(float value) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  if ((bits & 0x7F800000U) == 0x7F800000U) return bits;
  return (bits + 0x1000U) & 0xFFFFE000U;
}

}  // namespace host

#if defined(DIABOLO_CUDA_HOST)

GPU_VERB std::uint32_t pack_bf16(float low, float high) {
  return host::bf16_bits(low) | static_cast<std::uint32_t>(host::bf16_bits(high)) << 16;
}
GPU_VERB std::uint32_t to_tf32(float value) {
  return host::tf32_bits(value);
}

#elif defined(__CUDACC__)

// Two floats to two bf16 in one register, `low` in the low half.
GPU_VERB std::uint32_t pack_bf16(float low, float high) {
  std::uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

// Nearest tf32, ties away from zero, as the bits that mma_tf32 takes.
GPU_VERB std::uint32_t to_tf32(float value) {
  std::uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

#endif

GPU_VERB float low_bf16(std::uint32_t packed) {
  return bit_cast<float>(packed << 16);
}
GPU_VERB float high_bf16(std::uint32_t packed) {
  return bit_cast<float>(packed & 0xFFFF0000U);
}

}  // namespace diabolo::kernels::gpu
