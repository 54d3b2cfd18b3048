// The fake device's memory: which addresses are whose, and that the host keeps its hands off.
#pragma once

#include "runtime.h"

namespace fake_cuda {

// Is the range inside one live allocation, or wholly outside all of them?
struct Place {
  const Allocation* allocation = nullptr;  // null: memory of the host that we did not give out
  bool is_inside = true;                   // false: it begins in one and does not end there
};
Place place_of(const Runtime& runtime, const void* data, uint64_t bytes);

void free_all(Runtime& runtime);

// Under ASan device memory is poisoned for everybody but the device; while one of these lives, the
// device works.
class DeviceAtWork {
 public:
  explicit DeviceAtWork(Runtime& runtime);
  ~DeviceAtWork();
  DeviceAtWork(const DeviceAtWork&) = delete;
  DeviceAtWork& operator=(const DeviceAtWork&) = delete;

 private:
  Runtime& runtime_;
};

// Errors that leave the device unusable.
bool is_sticky(cudaError_t status);

}  // namespace fake_cuda
