// JSON that came from a file: its size and depth are checked before a general parser sees it.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace diabolo {

inline constexpr size_t kMaxJsonBytes = size_t{1} << 20;
inline constexpr int kMaxJsonDepth = 16;

// Throws Error{code} "NAME: …" for text that is too long, too deep or not JSON.
nlohmann::json parse_json_text(std::string_view text, const std::string& name, ErrorCode code);

}  // namespace diabolo
