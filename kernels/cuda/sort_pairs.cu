// A stable sort of pairs by their keys.
//
// Computes    CUB's DeviceRadixSort: one block's work for few pairs, else a histogram and one sweep
//             for each 8 bits of the keys. Blocks of a sweep wait for each other; neither the host
//             harness nor the interpreter of tests/ptx runs blocks side by side, so that a twin
//             stands there which counts each pair's rank
// Shapes      keys and values [n] u32
// Work split  CUB's own
// Traffic     some 4 + 16 (bits / 8) bytes a pair: memory
// Numerics    integers; stable, so that there is one result
// Limits      n below 2^32
// Source      kernels/cuda/sort_pairs.h
#include "kernels/cuda/sort_pairs.h"

#include "kernels/cuda/flat.cuh"

#if defined(DIABOLO_CUDA_HOST) || defined(DIABOLO_PTX)

namespace diabolo::kernels::cuda {
namespace {

__global__ void __launch_bounds__(kFlatThreads)
    rank_sort_kernel(const __grid_constant__ SortPairs sort) {
  for (int64_t i = threadIdx.x; i < sort.n; i += kFlatThreads) {
    const uint32_t key = sort.from.keys[i];
    int64_t rank = 0;
    for (int64_t k = 0; k < sort.n; ++k) {
      const uint32_t other = sort.from.keys[k];
      rank += other < key || (other == key && k < i) ? 1 : 0;
    }
    sort.other.keys[rank] = key;
    sort.other.values[rank] = sort.from.values[i];
  }
}

}  // namespace

Pairs sort_pairs(const SortPairs& sort, void* stream) {
  launch_flat(rank_sort_kernel, 1, stream, sort);
  return sort.other;
}

}  // namespace diabolo::kernels::cuda

#else

#include <cub/device/device_radix_sort.cuh>

namespace diabolo::kernels::cuda {

Pairs sort_pairs(const SortPairs& sort, void* stream) {
  cub::DoubleBuffer<uint32_t> keys(sort.from.keys, sort.other.keys);
  cub::DoubleBuffer<uint32_t> values(sort.from.values, sort.other.values);
  const auto run = [&](void* scratch, std::size_t& bytes) {
    const cudaError_t status =
        cub::DeviceRadixSort::SortPairs(scratch, bytes, keys, values, static_cast<uint32_t>(sort.n),
                                        0, sort.bits, static_cast<cudaStream_t>(stream));
    if (status != cudaSuccess)
      throw LaunchError(static_cast<int>(status),
                        (std::string("DeviceRadixSort: ") + cudaGetErrorString(status)).c_str());
  };
  std::size_t wanted = 0;
  run(nullptr, wanted);
  std::size_t planned = sort_scratch_bytes(sort.n);
  if (wanted > planned)
    throw LaunchError(static_cast<int>(cudaErrorInvalidValue),
                      ("DeviceRadixSort wants " + std::to_string(wanted) +
                       " bytes of scratch for " + std::to_string(sort.n) + " pairs, planned were " +
                       std::to_string(planned) + "; report this")
                          .c_str());
  run(sort.scratch, planned);
  return {keys.Current(), values.Current()};
}

}  // namespace diabolo::kernels::cuda

#endif
