// Checks of what comes in through the C interface. Each throws Error{kUsage} that names the
// argument, what was expected and what was found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"
#include "base/tensor.h"
#include "diabolo/diabolo.h"

namespace diabolo::capi {

[[noreturn]] void fail_null(const char* name);
[[noreturn]] void fail_struct_size(const char* name, uint64_t expected, uint64_t found);

template <class T>
T& required(const char* name, T* pointer) {
  if (!pointer) fail_null(name);
  return *pointer;
}

template <class Struct>
void check_struct(const char* name, const Struct& given) {
  if (given.struct_size != sizeof(Struct))
    fail_struct_size(name, sizeof(Struct), given.struct_size);
}

// A struct that must be there.
template <class Struct>
Struct& required_struct(const char* name, Struct* given) {
  Struct& found = required(name, given);
  check_struct(name, found);
  return found;
}

// Options; all zero, hence all defaults, where the pointer is null.
template <class Struct>
Struct options_or_defaults(const char* name, const Struct* given) {
  if (!given) return Struct{};
  check_struct(name, *given);
  return *given;
}

// A result that the caller may not want.
template <class Struct>
void check_result(const char* name, const Struct* given) {
  if (given) check_struct(name, *given);
}

// A path: not null, not empty, and not "-", since standard streams are the program's.
std::string required_path(const char* name, const char* text);

// One of `count` values counted from `first`.
void check_choice(const char* name, int32_t value, int32_t first, int32_t count);

DType dtype_of(const char* name, diabolo_dtype dtype);
diabolo_dtype dtype_number(DType dtype);

// Type and shape of one row.
TensorDesc row_of(const diabolo_rows& rows);

// The same; throws too unless the model's `features` numbers make a row.
TensorDesc row_of(const diabolo_rows& rows, int64_t features);

// rows.count rows as bytes; name is for messages.
std::span<const std::byte> bytes_of(const char* name, const diabolo_rows& rows);

// Throws Error{kData} naming row and column of the first value that is NaN, infinite or beyond f32.
void check_finite(const char* name, DType dtype, std::span<const std::byte> bytes, uint64_t width);

// rows x width numbers of f32: the output that starts at data and has room for `room` numbers.
template <class Number>
std::span<Number> output_of(const char* name, Number* data, uint64_t room, uint64_t rows,
                            uint64_t width);

}  // namespace diabolo::capi
