// Loads and stores of 4, 8 and 16 bytes. Addresses must be multiples of the size: a device traps
// otherwise, the harness reports it.
#pragma once

#include <cstring>

#include "kernels/cuda/device/platform.cuh"

namespace diabolo::kernels::gpu {

template <int kBytes>
struct alignas(kBytes) Bits {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  std::uint32_t word[kBytes / 4];
};

// Bits of one type seen as another of the same size.
template <class To, class From>
GPU_VERB To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof(To));
  return to;
}

template <int kBytes>
GPU_VERB Bits<kBytes> load(const void* address) {
#if defined(DIABOLO_CUDA_HOST)
  ::cuda_host::require_aligned(address, kBytes, "load");
#endif
  return *reinterpret_cast<const Bits<kBytes>*>(address);
}

template <int kBytes>
GPU_VERB void store(void* address, const Bits<kBytes>& bits) {
#if defined(DIABOLO_CUDA_HOST)
  ::cuda_host::require_aligned(address, kBytes, "store");
#endif
  *reinterpret_cast<Bits<kBytes>*>(address) = bits;
}

// 16 bytes to global memory in one access: nvcc may take a plain store of them apart into words.
GPU_VERB void store_global(void* address, const Bits<16>& bits) {
#if defined(__CUDACC__)
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(address)),
               "r"(bits.word[0]), "r"(bits.word[1]), "r"(bits.word[2]), "r"(bits.word[3])
               : "memory");
#else
  store<16>(address, bits);
#endif
}

// Largest of 16, 8, 4, 2, 1 that divides both the address and `row_bytes`: the width at which every
// row of a matrix can be copied. Host code; `limit` bounds the answer.
inline int common_alignment(const void* address, std::size_t row_bytes, int limit = 16) {
  const std::size_t bits = reinterpret_cast<std::uintptr_t>(address) | row_bytes;
  int width = limit;
  while (width > 1 && bits % static_cast<std::size_t>(width) != 0) width /= 2;
  return width;
}

}  // namespace diabolo::kernels::gpu
