// What a tensor is: TensorDesc (type and extents, a plain value) and TensorView (that and an
// address; never owns). Whoever owns bytes is a Buffer (backend/backend.h).
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "base/dtype.h"

namespace diabolo {

inline constexpr int kMaxRank = 5;

// Dense, row-major (the last extent is contiguous). Prints as "f32[256,784]".
class TensorDesc {
 public:
  TensorDesc() = default;
  // Throws InternalError for a rank over kMaxRank or a negative extent, Error{kResource} if the
  // size in bytes does not fit 63 bits.
  TensorDesc(DType dtype, std::span<const int64_t> extents);
  TensorDesc(DType dtype, std::initializer_list<int64_t> extents);

  DType dtype() const { return dtype_; }
  int rank() const { return rank_; }
  int64_t extent(int axis) const;
  std::span<const int64_t> extents() const { return {extents_.data(), static_cast<size_t>(rank_)}; }
  int64_t elems() const { return elems_; }  // product of the extents; 1 for rank 0
  uint64_t bytes() const { return static_cast<uint64_t>(elems_) * size_bytes(dtype_); }
  std::string text() const;

  bool operator==(const TensorDesc& other) const;

 private:
  DType dtype_ = DType::kF32;
  int rank_ = 0;
  std::array<int64_t, kMaxRank> extents_{};
  int64_t elems_ = 1;
};

// A tensor at an address of some backend. Borrowed: valid as long as the buffer under it.
struct TensorView {
  TensorDesc desc;
  void* data = nullptr;

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

}  // namespace diabolo
