#include "device_memory.h"

#include <cstdlib>
#include <cstring>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FAKE_CUDA_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define FAKE_CUDA_ASAN 1
#endif
#ifdef FAKE_CUDA_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#endif

namespace fake_cuda {

namespace {

constexpr uint64_t kAlignment = 256;
constexpr int kGarbage = 0xFF;  // what fresh memory holds: NaN as float

int devices_at_work = 0;

void set_poison(const Runtime& runtime, bool is_poisoned) {
#ifdef FAKE_CUDA_ASAN
  for (const auto& [address, allocation] : runtime.allocations) {
    if (allocation.kind != MemoryKind::kDevice) continue;
    void* data = reinterpret_cast<void*>(address);
    if (is_poisoned) {
      ASAN_POISON_MEMORY_REGION(data, allocation.bytes);
    } else {
      ASAN_UNPOISON_MEMORY_REGION(data, allocation.bytes);
    }
  }
#else
  (void)runtime, (void)is_poisoned;
#endif
}

void free_memory(uintptr_t address, const Allocation& allocation) {
  void* data = reinterpret_cast<void*>(address);
  ASAN_UNPOISON_MEMORY_REGION(data, allocation.bytes);
  std::free(data);
}

cudaError_t allocate(Runtime& runtime, MemoryKind kind, void** data, size_t bytes) {
  *data = nullptr;
  if (bytes == 0) return cudaSuccess;
  const uint64_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  uint64_t& used = runtime.used_bytes[current_device()];
  if (kind == MemoryKind::kDevice) {
    const uint64_t all = runtime.description.memory_bytes;
    if (rounded < bytes || used > all || rounded > all - used) return cudaErrorMemoryAllocation;
  }
  *data = std::aligned_alloc(kAlignment, rounded);
  if (*data == nullptr) return cudaErrorMemoryAllocation;
  std::memset(*data, kGarbage, rounded);
  runtime.allocations[reinterpret_cast<uintptr_t>(*data)] = {kind, bytes, current_device()};
  ++runtime.counters.live_allocations;
  if (kind == MemoryKind::kManaged) return cudaSuccess;
  if (kind == MemoryKind::kPinned) {
    ++runtime.counters.pinned_allocations;
    return cudaSuccess;
  }
  Counters& counters = runtime.counters;
  ++counters.device_allocations;
  used += rounded;
  counters.live_device_bytes += rounded;
  counters.peak_device_bytes = std::max(counters.peak_device_bytes, counters.live_device_bytes);
  ASAN_POISON_MEMORY_REGION(*data, rounded);
  return cudaSuccess;
}

cudaError_t release(Runtime& runtime, MemoryKind kind, void* data) {
  if (data == nullptr) return cudaSuccess;
  const auto found = runtime.allocations.find(reinterpret_cast<uintptr_t>(data));
  const auto is_freed_by = [](MemoryKind made) {
    return made == MemoryKind::kManaged ? MemoryKind::kDevice : made;
  };
  if (found == runtime.allocations.end() || is_freed_by(found->second.kind) != kind) {
    runtime.violate("memory is freed that was not allocated, or not like that, or freed already");
    return cudaErrorInvalidValue;
  }
  runtime.run_all();  // freeing waits for the device
  if (found->second.kind == MemoryKind::kDevice) {
    const uint64_t rounded = (found->second.bytes + kAlignment - 1) / kAlignment * kAlignment;
    runtime.used_bytes[found->second.device] -= rounded;
    runtime.counters.live_device_bytes -= rounded;
  }
  --runtime.counters.live_allocations;
  free_memory(found->first, found->second);
  runtime.allocations.erase(found);
  return cudaSuccess;
}

}  // namespace

Place place_of(const Runtime& runtime, const void* data, uint64_t bytes) {
  const auto begin = reinterpret_cast<uintptr_t>(data);
  auto found = runtime.allocations.upper_bound(begin);
  if (found != runtime.allocations.begin()) {
    const auto& [base, allocation] = *std::prev(found);
    if (begin < base + allocation.bytes) {
      return {&allocation, bytes <= allocation.bytes - (begin - base)};
    }
  }
  // Host memory, unless it runs into the next allocation.
  const bool is_inside = found == runtime.allocations.end() || bytes <= found->first - begin;
  return {nullptr, is_inside};
}

void free_all(Runtime& runtime) {
  for (const auto& [address, allocation] : runtime.allocations) free_memory(address, allocation);
  runtime.allocations.clear();
  runtime.used_bytes.clear();
}

DeviceAtWork::DeviceAtWork(Runtime& runtime) : runtime_(runtime) {
  if (devices_at_work++ == 0) set_poison(runtime_, false);
}

DeviceAtWork::~DeviceAtWork() {
  if (--devices_at_work == 0) set_poison(runtime_, true);
}

}  // namespace fake_cuda

using namespace fake_cuda;

cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  return call("cudaMalloc", kUnsafeInCapture | kNotInStep, [&](Runtime& runtime) {
    return allocate(runtime, MemoryKind::kDevice, data, bytes);
  });
}

cudaError_t cudaMallocManaged(void** data, std::size_t bytes, unsigned) {
  return call("cudaMallocManaged", kUnsafeInCapture | kNotInStep, [&](Runtime& runtime) {
    return allocate(runtime, MemoryKind::kManaged, data, bytes);
  });
}

cudaError_t cudaFree(void* data) {
  return call("cudaFree", kUnsafeInCapture | kNotInStep | kReleases,
              [&](Runtime& runtime) { return release(runtime, MemoryKind::kDevice, data); });
}

cudaError_t cudaHostAlloc(void** data, std::size_t bytes, unsigned) {
  return call("cudaHostAlloc", kUnsafeInCapture | kNotInStep, [&](Runtime& runtime) {
    return allocate(runtime, MemoryKind::kPinned, data, bytes);
  });
}

cudaError_t cudaFreeHost(void* data) {
  return call("cudaFreeHost", kUnsafeInCapture | kNotInStep | kReleases,
              [&](Runtime& runtime) { return release(runtime, MemoryKind::kPinned, data); });
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return call("cudaMemGetInfo", kPlain, [&](Runtime& runtime) {
    const uint64_t used = runtime.used_bytes[current_device()];
    *total = runtime.description.memory_bytes;
    *free = used > *total ? 0 : *total - used;
    return cudaSuccess;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* data) {
  return call("cudaPointerGetAttributes", kPlain, [&](Runtime& runtime) {
    const Allocation* found = place_of(runtime, data, 1).allocation;
    *attributes = {};
    attributes->device = found ? found->device : -1;
    if (found) {
      attributes->type = found->kind == MemoryKind::kDevice    ? cudaMemoryTypeDevice
                         : found->kind == MemoryKind::kManaged ? cudaMemoryTypeManaged
                                                               : cudaMemoryTypeHost;
    }
    return cudaSuccess;
  });
}
