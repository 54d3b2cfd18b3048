// What a data format is to the rest: an entry of the list in formats.cpp.
#pragma once

#include <memory>

#include "data/dataset.h"
#include "data/source.h"

namespace diabolo {

struct Format {
  const char* name;
  const char* files;  // what they are called, for help
  // Whether the first bytes (ByteSource::head) or the name are this format's.
  bool (*sniff)(const ByteSource& source, const OpenOptions& options);
  std::unique_ptr<Dataset> (*open)(ByteSource source, const OpenOptions& options);
  bool is_table = false;  // whose columns have names; it heeds OpenOptions::table
};

extern const Format kNpyFormat;
extern const Format kCsvFormat;
extern const Format kIdxFormat;
extern const Format kRawFormat;

}  // namespace diabolo
