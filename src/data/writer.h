// Row outputs: their formats, and the writers of .npy and raw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/file_writer.h"
#include "base/tensor.h"

namespace diabolo {

enum class RowFormat { kNpy, kRaw, kCsv, kTsv };
inline bool is_text(RowFormat format) {
  return format == RowFormat::kCsv || format == RowFormat::kTsv;
}
// format: "npy", "raw", "csv" or "tsv"; empty: by the end of the path, in capitals or not, where
// .raw, .bin and no end at all are raw. Throws Error{kUsage} for another.
RowFormat row_format(const std::string& path, std::string_view format);

// Appends rows to a sink. Every size that a format writes into its header has room for any number
// of rows, so header_bytes() is known before the first row.
class RowWriter {
 public:
  virtual ~RowWriter() = default;
  // Bytes before the first row.
  virtual uint64_t header_bytes() const = 0;
  // The header, with the number of rows where it is known. Call once, first, unless a partial
  // output is being continued. Throws Error{kUsage} if the number is unknown, the format needs it
  // and the sink cannot go back ("… use raw").
  virtual void begin(Sink& sink, std::optional<uint64_t> rows) = 0;
  // Corrects the header where the number of rows was unknown or changed (skipped rows).
  virtual void finish(Sink& sink, uint64_t rows) = 0;
  // Rows themselves go to the sink as they are: contiguous, row-major, little-endian.
};

// The writer for a path by row_format; Error{kUsage} for text. row: type and shape of one row;
// Error{kUsage} where the format lacks the type (bf16 in .npy).
std::unique_ptr<RowWriter> make_row_writer(const std::string& path, std::string_view format,
                                           const TensorDesc& row);

// A .npy header, version 1.0, for rows of the given description: 128 bytes or, for long shapes, a
// multiple of 64, the same for every number of rows.
std::string npy_header(const TensorDesc& row, uint64_t rows);

}  // namespace diabolo
