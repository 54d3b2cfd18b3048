// Memory that the kernels under test read and write, filled from and read back to the host.
//
// In the harness: heap arrays of exactly the size asked, so that ASan sees one element too far. On
// a GPU (DIABOLO_NATIVE_CUDA): device memory of the CUDA backend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#if defined(DIABOLO_NATIVE_CUDA)
#include "backend/backend.h"
#endif

namespace diabolo::test {

#if defined(DIABOLO_NATIVE_CUDA)

inline Backend& cuda_backend() {
  static const std::unique_ptr<Backend> backend = create_cuda_backend();
  return *backend;
}
inline Stream& cuda_stream() {
  static const std::unique_ptr<Stream> stream = cuda_backend().create_stream();
  return *stream;
}

#endif

// `count` elements whose first lies `offset` elements past a 16-byte boundary.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count, std::size_t offset = 0)
      : DeviceArray(std::vector<T>(count), offset) {}

  explicit DeviceArray(const std::vector<T>& values, std::size_t offset = 0)
      : count_(values.size()), offset_(offset), memory_(allocate((count_ + offset) * sizeof(T))) {
    write(values);
  }

  T* data() const { return static_cast<T*>(memory_.get()) + offset_; }
  std::size_t size() const { return count_; }

  void write(const std::vector<T>& values) {
    if (values.empty()) return;
#if defined(DIABOLO_NATIVE_CUDA)
    cuda_stream().copy_in(data(), values.data(), values.size() * sizeof(T));
    cuda_stream().synchronize();
#else
    std::memcpy(data(), values.data(), values.size() * sizeof(T));
#endif
  }

  std::vector<T> read() const {
    std::vector<T> values(count_);
    if (values.empty()) return values;
#if defined(DIABOLO_NATIVE_CUDA)
    cuda_stream().copy_out(values.data(), data(), values.size() * sizeof(T));
    cuda_stream().synchronize();
#else
    std::memcpy(values.data(), data(), values.size() * sizeof(T));
#endif
    return values;
  }

 private:
  using Memory = std::unique_ptr<void, void (*)(void*)>;

  static Memory allocate(std::size_t bytes) {
#if defined(DIABOLO_NATIVE_CUDA)
    return Memory(cuda_backend().allocate(bytes), [](void* p) { cuda_backend().release(p); });
#else
    return Memory(::operator new (bytes, std::align_val_t{16}),
                  [](void* p) { ::operator delete (p, std::align_val_t{16}); });
#endif
  }

  std::size_t count_;
  std::size_t offset_;
  Memory memory_;
};

// Runs `launches(stream)` and waits.
template <class F>
void run_on_device(F&& launches) {
#if defined(DIABOLO_NATIVE_CUDA)
  cuda_stream().submit([&](void* native) { launches(native); });
  cuda_stream().synchronize();
#else
  launches(nullptr);
#endif
}

}  // namespace diabolo::test
