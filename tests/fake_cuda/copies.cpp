// Copies and fills. Pinned memory is read and written when the device gets to it. Of pageable
// memory CUDA promises less: the call may take the bytes with it, or may not return before the
// bytes are there; both happen, as the seed says, and so does neither.
#include <cstring>

#include "device_memory.h"
#include "runtime.h"

using namespace fake_cuda;

namespace {

bool is_managed(const Place& place) {  // of the device as of the host
  return place.allocation != nullptr && place.allocation->kind == MemoryKind::kManaged;
}
bool is_device(const Place& place) {
  return place.allocation != nullptr && place.allocation->kind != MemoryKind::kPinned;
}

// Whether the addresses are what `kind` says, and the ranges end where the memory does.
bool is_copy_legal(Runtime& runtime, const Place& to, const Place& from, cudaMemcpyKind kind) {
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (!to.is_inside || !from.is_inside) {
    runtime.violate("a copy reaches beyond the memory that it begins in");
  } else if ((to_device != is_device(to) && !is_managed(to)) ||
             (from_device != is_device(from) && !is_managed(from))) {
    runtime.violate("a copy whose kind does not fit its addresses, or of freed memory");
  } else {
    return true;
  }
  return false;
}

Operation copy_operation(void* to, const void* from, size_t bytes) {
  Operation operation;
  operation.what = "copy " + std::to_string(bytes) + " bytes";
  operation.run = [=] { std::memmove(to, from, bytes); };
  return operation;
}

// The same with the bytes taken along at once.
Operation staged_operation(void* to, const void* from, size_t bytes) {
  const auto* begin = static_cast<const unsigned char*>(from);
  Operation operation = copy_operation(to, from, bytes);
  operation.run = [to, staged = std::vector<unsigned char>(begin, begin + bytes)] {
    std::memcpy(to, staged.data(), staged.size());
  };
  return operation;
}

cudaError_t copy(Runtime& runtime, void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                 CUstream_st* stream) {
  const Place to_place = place_of(runtime, to, bytes);
  const Place from_place = place_of(runtime, from, bytes);
  if (!is_copy_legal(runtime, to_place, from_place, kind)) return cudaErrorInvalidValue;
  ++runtime.counters.copies;
  const bool is_pageable = to_place.allocation == nullptr || from_place.allocation == nullptr;
  const bool may_hurry = is_pageable && !stream->capture && runtime.coin(0.5);
  if (may_hurry && from_place.allocation == nullptr) {
    return runtime.enqueue(stream, staged_operation(to, from, bytes));
  }
  const cudaError_t status = runtime.enqueue(stream, copy_operation(to, from, bytes));
  if (may_hurry && status == cudaSuccess) runtime.run_stream(stream);
  return status;
}

}  // namespace

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return call("cudaMemcpyAsync", kPlain, [&](Runtime& runtime) {
    if (!runtime.is_live(stream, "cudaMemcpyAsync")) return cudaErrorInvalidResourceHandle;
    return copy(runtime, to, from, bytes, kind, stream);
  });
}

// On the default stream, which does not wait for non-blocking ones.
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return call("cudaMemcpy", kUnsafeInCapture | kNotInStep, [&](Runtime& runtime) {
    if (!is_copy_legal(runtime, place_of(runtime, to, bytes), place_of(runtime, from, bytes),
                       kind)) {
      return cudaErrorInvalidValue;
    }
    const DeviceAtWork at_work(runtime);
    std::memmove(to, from, bytes);
    return runtime.sticky;
  });
}

cudaError_t cudaMemsetAsync(void* data, int value, std::size_t bytes, cudaStream_t stream) {
  return call("cudaMemsetAsync", kPlain, [&](Runtime& runtime) {
    if (!runtime.is_live(stream, "cudaMemsetAsync")) return cudaErrorInvalidResourceHandle;
    const Place place = place_of(runtime, data, bytes);
    if (!is_device(place) || !place.is_inside) {
      runtime.violate("a fill beyond the memory that it begins in, or not of device memory");
      return cudaErrorInvalidValue;
    }
    Operation operation;
    operation.what = "fill " + std::to_string(bytes) + " bytes";
    operation.run = [=] { std::memset(data, value, bytes); };
    return runtime.enqueue(stream, std::move(operation));
  });
}
