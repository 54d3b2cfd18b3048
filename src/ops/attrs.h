// The attributes of one node: a small plain struct of the op's own, held by value.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include "base/error.h"

namespace diabolo {

class Attrs {
 public:
  static constexpr size_t kMaxBytes = 64;

  Attrs() = default;

  // T: trivially copyable, at most kMaxBytes, default-constructible.
  template <class T>
  Attrs(const T& value) : type_(type_of<T>()) {  // implicit: a node is built from its op's struct
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kMaxBytes);
    std::memcpy(bytes_.data(), &value, sizeof(T));
  }

  // The struct that was stored. InternalError if it was another type.
  template <class T>
  T as() const {
    DIABOLO_CHECK(type_ == type_of<T>(), "attributes of another op");
    T value;
    std::memcpy(&value, bytes_.data(), sizeof(T));
    return value;
  }

 private:
  template <class T>
  static const void* type_of() {
    static const char tag = 0;
    return &tag;
  }

  alignas(8) std::array<std::byte, kMaxBytes> bytes_{};
  const void* type_ = nullptr;
};

}  // namespace diabolo
