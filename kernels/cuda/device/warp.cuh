// Shuffles and sums of a warp.
//
// The mask names the lanes that take part; each of them must call the verb with the same mask.
#pragma once

#include "kernels/cuda/device/vector.cuh"

namespace diabolo::kernels::gpu {

#if defined(DIABOLO_CUDA_HOST)

struct ShuffleIn {
  std::uint32_t bits;
  unsigned source;  // lane to read
};

// Every lane receives the bits of the lane it names, which must be in the mask.
inline void finish_shuffle(unsigned mask, const void* const* in, void* const* out) {
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    if ((mask >> lane & 1U) == 0) continue;
    const unsigned source = static_cast<const ShuffleIn*>(in[lane])->source;
    if ((mask >> source & 1U) == 0) {
      ::cuda_host::fail(::cuda_host::BugKind::kWrongMask,
                        "shuffle: a lane reads a lane outside the mask");
    }
    *static_cast<std::uint32_t*>(out[lane]) = static_cast<const ShuffleIn*>(in[source])->bits;
  }
}

inline std::uint32_t shuffle_bits(unsigned mask, std::uint32_t bits, unsigned source) {
  const ShuffleIn in{bits, source};
  std::uint32_t out = 0;
  ::cuda_host::collective("shuffle", mask, &in, &out, finish_shuffle);
  return out;
}

#endif

// The value of lane `source`.
template <class T>
GPU_VERB T shuffle(unsigned mask, T value, unsigned source) {
  static_assert(sizeof(T) == 4);
#if defined(DIABOLO_CUDA_HOST)
  return bit_cast<T>(shuffle_bits(mask, bit_cast<std::uint32_t>(value), source % kWarp));
#else
  return __shfl_sync(mask, value, static_cast<int>(source));
#endif
}

// The value of the lane whose number differs in the bits of `lane_bits`.
template <class T>
GPU_VERB T shuffle_xor(unsigned mask, T value, unsigned lane_bits) {
  static_assert(sizeof(T) == 4);
#if defined(DIABOLO_CUDA_HOST)
  const unsigned source = (::cuda_host::lane_of_running_thread() ^ lane_bits) % kWarp;
  return bit_cast<T>(shuffle_bits(mask, bit_cast<std::uint32_t>(value), source));
#else
  return __shfl_xor_sync(mask, value, static_cast<int>(lane_bits));
#endif
}

// Sum over the full warp by a butterfly (distances 16, 8, 4, 2, 1): every lane gets the same bits.
GPU_VERB float warp_sum(float value) {
  for (unsigned distance = kWarp / 2; distance > 0; distance /= 2) {
    value += shuffle_xor(kFullWarp, value, distance);
  }
  return value;
}

}  // namespace diabolo::kernels::gpu
