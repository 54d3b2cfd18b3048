// The header of .npy files, by numpy's format description (numpy.lib.format), versions 1.0 to 3.0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "data/rows.h"

namespace diabolo {

inline constexpr std::string_view kNpyMagic = "\x93NUMPY";
// numpy itself refuses headers over 10,000 bytes; those of plain arrays have about 100.
inline constexpr uint64_t kMaxNpyHeaderBytes = 64 << 10;

struct NpyHeader {
  DType dtype = DType::kF32;
  ByteOrder order = ByteOrder::kLittle;
  bool is_fortran = false;
  std::vector<uint64_t> extents;  // at most kMaxNpyRank
};

// Axes that are parsed before giving up; more than any reader of the header accepts.
inline constexpr size_t kMaxNpyRank = 32;

// Parses the dictionary that follows the length field. Accepts exactly the literals that numpy
// writes: the keys descr, fortran_order and shape, once each, in any order. Nothing is evaluated.
// Throws Error{kData} "NAME: ...".
NpyHeader parse_npy_header(const std::string& name, std::string_view text);

}  // namespace diabolo
