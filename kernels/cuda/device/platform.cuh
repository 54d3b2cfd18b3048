// What every device header starts from: the namespace, the two macros that declare shared memory,
// and which half of a verb this compilation takes.
//
// nvcc takes the device halves (PTX). The host harness of tests/cuda_host compiles the same files
// as plain C++ and takes the host halves (DIABOLO_CUDA_HOST is defined there). Any other C++ sees
// only namespace gpu::host, the host halves that need no harness, and compares with them. PTX
// appears in this folder and nowhere else.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(DIABOLO_CUDA_HOST)

#define GPU_VERB inline

// GPU_SHARED(float, tile, 1024): `tile` points to 1024 floats that the block shares, 16-byte
// aligned.
#define GPU_SHARED(type, name, count) \
  static const char name##_site = 0;  \
  type* const name =                  \
      static_cast<type*>(::cuda_host::static_shared(&name##_site, sizeof(type) * (count), #name))

// GPU_DYN_SHARED(float, tile): `tile` points to the launch's dynamic shared memory, 128-byte
// aligned.
#define GPU_DYN_SHARED(type, name) \
  type* const name = static_cast<type*>(::cuda_host::dynamic_shared())

#elif defined(__CUDACC__)

#define GPU_VERB __device__ __forceinline__

#define GPU_SHARED(type, name, count)                    \
  __shared__ __align__(16) type name##_storage[(count)]; \
  type* const name = name##_storage

#define GPU_DYN_SHARED(type, name)                                         \
  extern __shared__ __align__(128) unsigned char diabolo_dynamic_shared[]; \
  type* const name = reinterpret_cast<type*>(diabolo_dynamic_shared)

#else

#define GPU_VERB inline

#endif

namespace diabolo::kernels::gpu {

constexpr unsigned kWarp = 32;
constexpr unsigned kFullWarp = 0xFFFFFFFFU;

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
};

}  // namespace diabolo::kernels::gpu
