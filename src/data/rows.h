// What the formats share: a declared shape checked against limits, and data sets whose rows lie one
// after another in a file, in a stream or in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/source.h"

namespace diabolo {

// More elements in one row are refused: a row has to fit memory many times over.
inline constexpr uint64_t kMaxRowElems = uint64_t{1} << 28;

// Rows of an array, its first axis being the rows.
struct RowShape {
  uint64_t rows = 0;
  TensorDesc row;
  uint64_t bytes = 0;  // of all rows
};

// What a declared array comes to, for extents that may be anything. Throws Error{code} "NAME: shape
// [...] ..." for rank 0 or over kMaxRank, rows without elements or over kMaxRowElems, and totals
// that do not fit 63 bits.
RowShape checked_rows(const std::string& name, ErrorCode code, DType dtype,
                      std::span<const uint64_t> extents);

// The description of one row, from options. The same limits.
TensorDesc checked_row(const std::string& name, ErrorCode code, DType dtype,
                       std::span<const int64_t> extents);

// The file has header_bytes + shape.bytes, no more and no less; else Error{kData}. A stream passes:
// its data set finds what is missing or too much when it reads there.
void check_size(const ByteSource& source, uint64_t header_bytes, const RowShape& shape);

enum class ByteOrder { kLittle, kBig };

// Reverses the bytes of each element.
void swap_bytes(DType dtype, std::span<std::byte> elements);

struct RowFileOptions {
  TensorDesc row;
  std::optional<uint64_t> rows = {};  // nothing: a stream's rows until it ends
  ByteOrder order = ByteOrder::kLittle;
  std::string as_usual = {};  // Dataset::as_usual
};

// Rows that follow the source's position.
std::unique_ptr<Dataset> row_file_dataset(ByteSource source, const RowFileOptions& options);

// Rows of which nothing but type, shape and number is known; reading them is a bug.
std::unique_ptr<Dataset> header_dataset(const ByteSource& source, const RowFileOptions& options);

// Rows in memory that the data set owns; bytes are consumed as they are, in `options.order`.
std::unique_ptr<Dataset> owned_dataset(std::string name, std::string identity,
                                       std::unique_ptr<std::byte[]> bytes,
                                       const RowFileOptions& options);

}  // namespace diabolo
