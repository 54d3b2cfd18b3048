// What the fuzz targets share. A target is a file NAME_fuzz.cpp with one function; libFuzzer calls
// it (preset `fuzz`), and so does an ordinary test over the seeds in corpus/NAME (all other
// presets).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace diabolo::fuzz {

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Runs action; an Error of one line with an expected code is fine, every other exception is a find.
template <class Action>
void expect_clean(const Action& action, ErrorCode expected, ErrorCode also_expected) {
  try {
    action();
  } catch (const Error& error) {
    const bool is_expected = error.code() == expected || error.code() == also_expected;
    const bool is_line = std::string_view(error.what()).find('\n') == std::string_view::npos;
    if (!is_expected || !is_line) std::abort();
  }
}

}  // namespace diabolo::fuzz
