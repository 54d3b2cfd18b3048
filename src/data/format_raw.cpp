// Raw files: rows of numbers, little-endian, row-major, nothing else.
#include "base/error.h"
#include "data/format.h"
#include "data/rows.h"

namespace diabolo {
namespace {

// Nothing in the file tells it is one: the options do.
bool sniff(const ByteSource&, const OpenOptions& options) {
  return options.dtype && !options.row_shape.empty();
}

std::unique_ptr<Dataset> open(ByteSource source, const OpenOptions& options) {
  if (!options.dtype || options.row_shape.empty()) {
    throw Error(ErrorCode::kUsage, cat(source.name(),
                                       ": raw data need --dtype and --shape of a row, "
                                       "for example --dtype f32 --shape 784"));
  }
  const TensorDesc row =
      checked_row(source.name(), ErrorCode::kUsage, *options.dtype, options.row_shape);
  std::optional<uint64_t> rows;
  if (const auto size = source.size_bytes()) {
    if (*size % row.bytes() != 0) {
      source.fail(cat("has ", *size, " bytes, which is no multiple of a row ", row.text(), " of ",
                      row.bytes(), " bytes; check --shape and --dtype"));
    }
    rows = *size / row.bytes();
  }
  return row_file_dataset(std::move(source), {.row = row, .rows = rows});
}

}  // namespace

const Format kRawFormat = {"raw", "raw", sniff, open};

}  // namespace diabolo
