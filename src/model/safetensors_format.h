// What reader and writer of safetensors files must agree on.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace diabolo {

inline constexpr size_t kLengthBytes = 8;  // length of the header, little-endian
inline constexpr size_t kHashDigits = 32;
inline const std::string kHashKey = "diabolo.hash";  // of the header; with ".NAME": of a tensor

// How every header that we write begins; the digits of its hash follow.
inline constexpr std::string_view kHashPrefix = R"({"__metadata__":{"diabolo.hash":")";

// The hash of the length field and the header, its own digits taken as zeros. The header begins
// with kHashPrefix; a header that ends within the digits has the hash of nothing, "".
std::string header_hash(const std::string& header);

// The length field.
std::string length_field(size_t header_bytes);

}  // namespace diabolo
