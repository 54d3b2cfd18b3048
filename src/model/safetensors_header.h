// The JSON header of a safetensors file, read from hostile bytes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/tensor.h"

namespace diabolo {

inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 16 << 20;
inline constexpr int kMaxSafetensorsDepth = 3;  // file, tensor, shape
inline constexpr uint64_t kMaxSafetensorsTokens = 1 << 20;
inline constexpr size_t kMaxSafetensorsNameBytes = 4096;

// What the header says of a tensor; begin and end count from the end of the header.
struct DeclaredTensor {
  std::string name;
  std::string dtype;  // as in the file: "F32"
  std::vector<uint64_t> extents;
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<DeclaredTensor> tensors;
  std::map<std::string, std::string> metadata;
};

// Accepts exactly the format: objects with the keys dtype, shape and data_offsets, a string map
// `__metadata__`, no key twice. Throws Error{code} "NAME: ...". Memory: a small multiple of the
// text.
SafetensorsHeader parse_safetensors_header(const std::string& name, ErrorCode code,
                                           std::string_view text);

struct PlacedTensor {
  std::string name;
  TensorDesc desc;
  uint64_t begin = 0;
};

// The tensors in the order of their bytes, which must fill 0 to data_bytes without gap or overlap.
// Throws Error{code} for that, for unknown types, ranks over kMaxRank and sizes that do not agree.
std::vector<PlacedTensor> place_tensors(const std::string& name, ErrorCode code,
                                        const SafetensorsHeader& header, uint64_t data_bytes);

const char* safetensors_dtype(DType dtype);  // "F32"

}  // namespace diabolo
