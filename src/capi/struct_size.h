// How structs of the C interface grow: the one place that knows. Programs built with an older or a
// newer diabolo.h than the library hand in structs that are shorter or longer than ours.
//   taken in   shorter: what is missing is 0, its default. Longer: fine while what we do not know
//              is 0; else the program asks for something that this library cannot do:
//              Error{kUsage}.
//   filled     never beyond the caller's size; what the caller knows and we do not becomes 0.
// A struct grows at its end only, and not into padding, which older programs leave undefined.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "diabolo/diabolo.h"

namespace diabolo::capi {

// The size of each struct in the first version that had it. Never changes.
template <class Struct>
inline constexpr uint64_t kFirstSize = 0;
template <>
inline constexpr uint64_t kFirstSize<diabolo_context_options> = 48;
template <>
inline constexpr uint64_t kFirstSize<diabolo_device_info> = 160;
template <>
inline constexpr uint64_t kFirstSize<diabolo_rows> = 64;
template <>
inline constexpr uint64_t kFirstSize<diabolo_row_options> = 72;
template <>
inline constexpr uint64_t kFirstSize<diabolo_output> = 32;
template <>
inline constexpr uint64_t kFirstSize<diabolo_explanation> = 56;
template <>
inline constexpr uint64_t kFirstSize<diabolo_evaluate_options> = 72;
template <>
inline constexpr uint64_t kFirstSize<diabolo_evaluation> = 64;
template <>
inline constexpr uint64_t kFirstSize<diabolo_load_options> = 16;
template <>
inline constexpr uint64_t kFirstSize<diabolo_model_info> = 112;
template <>
inline constexpr uint64_t kFirstSize<diabolo_model_changes> = 48;
template <>
inline constexpr uint64_t kFirstSize<diabolo_train_options> = 120;
template <>
inline constexpr uint64_t kFirstSize<diabolo_train_result> = 40;
template <>
inline constexpr uint64_t kFirstSize<diabolo_file_options> = 112;
template <>
inline constexpr uint64_t kFirstSize<diabolo_file_result> = 48;

// A struct's size in bytes as its caller knows it. Throws Error{kUsage} unless it is from `first`
// to what no struct will reach.
uint64_t caller_size(const char* name, const void* given, uint64_t first);

// given's bytes, of which there are caller_size, into `ours`, all 0, of `bytes`.
void take_struct(const char* name, const void* given, uint64_t first, void* ours, uint64_t bytes);
// The other way round, but for struct_size.
void give_struct(const char* name, const void* ours, uint64_t bytes, uint64_t first, void* given);

template <class Struct>
constexpr uint64_t first_size() {
  static_assert(kFirstSize<Struct> > 0 && kFirstSize<Struct> <= sizeof(Struct),
                "every struct that crosses the C interface is in the list above");
  static_assert(std::is_trivially_copyable_v<Struct> && offsetof(Struct, struct_size) == 0);
  return kFirstSize<Struct>;
}

[[noreturn]] void fail_null(const char* name);

// A struct that must be there.
template <class Struct>
Struct required_struct(const char* name, const Struct* given) {
  if (!given) fail_null(name);
  Struct ours{};
  take_struct(name, given, first_size<Struct>(), &ours, sizeof ours);
  return ours;
}

// Options; all zero, hence all defaults, where the pointer is null.
template <class Struct>
Struct options_or_defaults(const char* name, const Struct* given) {
  return given ? required_struct(name, given) : Struct{};
}

// A struct to fill, checked before the work; null where the caller does not want it.
template <class Struct>
void check_result(const char* name, const Struct* given) {
  if (given) caller_size(name, given, first_size<Struct>());
}

template <class Struct>
void give_result(const char* name, const Struct& ours, Struct* given) {
  if (given) give_struct(name, &ours, sizeof ours, first_size<Struct>(), given);
}

}  // namespace diabolo::capi
