// Raw files: rows of numbers, little-endian, row-major, nothing else.
#include "base/error.h"
#include "data/format.h"
#include "data/rows.h"

namespace diabolo {
namespace {

// Nothing in the file tells it is one: the options do, or its name where rows are of a kind.
bool sniff(const ByteSource& source, const OpenOptions& options) {
  const bool is_named = source.is_called(".raw") || source.is_called(".bin");
  return (options.dtype && !options.row_shape.empty()) || (options.usual.row && is_named);
}

OpenOptions with_usual_row(OpenOptions options) {
  if (!options.usual.row) return options;
  const TensorDesc& row = *options.usual.row;
  if (!options.dtype) options.dtype = row.dtype();
  if (options.row_shape.empty())
    options.row_shape.assign(row.extents().begin(), row.extents().end());
  return options;
}

std::unique_ptr<Dataset> open(ByteSource source, const OpenOptions& given) {
  const OpenOptions options = with_usual_row(given);
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
  const bool is_usual = !given.dtype && given.usual.row;
  return row_file_dataset(
      std::move(source),
      {.row = row,
       .rows = rows,
       .as_usual = is_usual ? cat("raw rows, taken for ", row.text(),
                                  " as the model has them (--dtype says otherwise)")
                            : ""});
}

}  // namespace

const Format kRawFormat = {"raw", "raw", sniff, open};

}  // namespace diabolo
