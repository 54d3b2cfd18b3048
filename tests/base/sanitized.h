// A sanitizer makes a test many times as long. It looks at memory and needs every path, not every
// number: tests that repeat one path over many numbers take fewer, and other builds take all.
#pragma once

namespace diabolo::testing {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kIsSanitized = true;
#else
inline constexpr bool kIsSanitized = false;
#endif

// `all`, or its part of `parts` under a sanitizer.
template <class T>
constexpr T fewer_if_sanitized(T all, T parts) {
  return kIsSanitized ? all / parts : all;
}

}  // namespace diabolo::testing
