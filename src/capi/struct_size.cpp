#include "capi/struct_size.h"

#include <algorithm>

#include "base/error.h"

namespace diabolo::capi {

namespace {

// No struct comes near it: more is a struct_size that was never set.
constexpr uint64_t kMostBytes = 4096;

const char* after(const void* start, uint64_t bytes) {
  return static_cast<const char*>(start) + bytes;
}

}  // namespace

void fail_null(const char* name) {
  throw Error(ErrorCode::kUsage, cat(name, ": expected an address, found null"));
}

uint64_t caller_size(const char* name, const void* given, uint64_t first) {
  uint64_t size = 0;
  std::memcpy(&size, given, sizeof size);
  if (size < first || size > kMostBytes)
    throw Error(ErrorCode::kUsage, cat(name, ".struct_size: expected ", first, " to ", kMostBytes,
                                       ", found ", size, " (set it to the sizeof of the struct)"));
  return size;
}

void take_struct(const char* name, const void* given, uint64_t first, void* ours, uint64_t bytes) {
  const uint64_t size = caller_size(name, given, first);
  const uint64_t known = std::min(size, bytes);
  const bool is_known = std::all_of(after(given, known), after(given, size),
                                    [](char unknown) { return unknown == 0; });
  if (!is_known)
    throw Error(ErrorCode::kUsage,
                cat(name, ": sets a field that this library does not have: expected zeros after ",
                    bytes, " bytes (the program needs the library it was built for)"));
  std::memcpy(ours, given, known);
}

void give_struct(const char* name, const void* ours, uint64_t bytes, uint64_t first, void* given) {
  const uint64_t size = caller_size(name, given, first);
  const uint64_t known = std::min(size, bytes);
  char* to = static_cast<char*>(given);
  constexpr uint64_t kSizeField = sizeof(uint64_t);
  std::memcpy(to + kSizeField, after(ours, kSizeField), known - kSizeField);
  std::memset(to + known, 0, size - known);
}

}  // namespace diabolo::capi
