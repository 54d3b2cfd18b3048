// One way to launch: gpu::launch(kernel, grid, block, dynamic shared bytes, stream, parameters).
//
// A kernel takes one trivially copyable struct by value. The stream is opaque (a cudaStream_t).
// Errors are thrown as LaunchError (kernels/cuda/cuda.h). In the host harness the launch becomes a
// closure with its own copy of the parameters and goes to the harness's launcher.
#pragma once

#include <type_traits>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/device/platform.cuh"

#if !defined(DIABOLO_CUDA_HOST)
#include <cuda_runtime.h>

#include <string>
#endif

namespace diabolo::kernels::gpu {

constexpr std::size_t kSharedBytesWithoutOptIn = 48 * 1024;

#if defined(DIABOLO_CUDA_HOST)

template <class Params>
void launch(void (*kernel)(Params), Dim3 grid, Dim3 block, std::size_t shared_bytes, void* stream,
            const std::type_identity_t<Params>& params) {
  static_assert(std::is_trivially_copyable_v<Params> && sizeof(Params) <= 4096);
  const auto* identity = reinterpret_cast<const void*>(kernel);
  if (shared_bytes > kSharedBytesWithoutOptIn) ::cuda_host::opt_in_shared(identity, shared_bytes);
  ::cuda_host::LaunchSpec spec;
  spec.kernel = identity;
  spec.grid = {grid.x, grid.y, grid.z};
  spec.block = {block.x, block.y, block.z};
  spec.dynamic_shared_bytes = shared_bytes;
  spec.stream = stream;
  spec.body = [kernel, params] { kernel(params); };
  ::cuda_host::enqueue(static_cast<::cuda_host::LaunchSpec&&>(spec));
}

#else

inline void check(cudaError_t status, const char* call, const void* kernel) {
  if (status == cudaSuccess) return;
  const char* name = nullptr;
  if (cudaFuncGetName(&name, kernel) != cudaSuccess) name = "a kernel";
  const std::string message = std::string(call) + " for " + name + ": " + cudaGetErrorName(status) +
                              ", " + cudaGetErrorString(status);
  throw cuda::LaunchError(static_cast<int>(status), message.c_str());
}

template <class Params>
void launch(void (*kernel)(Params), Dim3 grid, Dim3 block, std::size_t shared_bytes, void* stream,
            const std::type_identity_t<Params>& params) {
  static_assert(std::is_trivially_copyable_v<Params> && sizeof(Params) <= 4096);
  const auto* function = reinterpret_cast<const void*>(kernel);
  if (shared_bytes > kSharedBytesWithoutOptIn) {
    check(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)),
          "cudaFuncSetAttribute", function);
  }
  Params copy = params;
  void* arguments[] = {&copy};
  check(cudaLaunchKernel(function, dim3(grid.x, grid.y, grid.z), dim3(block.x, block.y, block.z),
                         arguments, shared_bytes, static_cast<cudaStream_t>(stream)),
        "cudaLaunchKernel", function);
}

#endif

}  // namespace diabolo::kernels::gpu
