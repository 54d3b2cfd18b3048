// What a data format is to the rest: an entry of the list in formats.cpp.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "data/dataset.h"
#include "data/source.h"

namespace diabolo {

struct Format {
  const char* name;
  // Whether the first bytes (at most ByteSource::kHeadBytes) are this format's.
  bool (*sniff)(std::span<const std::byte> head, const OpenOptions& options);
  std::unique_ptr<Dataset> (*open)(ByteSource source, const OpenOptions& options);
};

extern const Format kNpyFormat;
extern const Format kIdxFormat;
extern const Format kRawFormat;

}  // namespace diabolo
