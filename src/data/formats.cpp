// The one list of data formats, in the order in which they are tried.
#include <array>

#include "base/error.h"
#include "data/format.h"

namespace diabolo {
namespace {

constexpr std::array kFormats = {
    &kNpyFormat,
    &kCsvFormat,
    &kIdxFormat,
    &kRawFormat,
};

std::string joined_names() {
  std::string text;
  for (const Format* format : kFormats) text += cat(text.empty() ? "" : ", ", format->name);
  return text;
}

void require_table(const ByteSource& source, const Format& format, const OpenOptions& options) {
  if (format.is_table || options.table == TableReading{}) return;
  throw Error(ErrorCode::kUsage,
              cat(source.name(), ": columns, header and separator are of tables of text, and this ",
                  "is ", format.name, "; leave those options out"));
}

const Format& named(const std::string& name) {
  for (const Format* format : kFormats)
    if (name == format->name) return *format;
  throw Error(ErrorCode::kUsage, cat("format ", name, " is unknown; there are ", joined_names()));
}

const Format& choose(const ByteSource& source, const OpenOptions& options) {
  if (!options.format.empty()) return named(options.format);
  for (const Format* format : kFormats)
    if (format->sniff(source, options)) return *format;
  if (source.head().empty()) source.fail("is empty");
  if (!options.usual.format.empty()) return named(options.usual.format);
  source.fail(cat("is in none of the formats that can be recognised (", joined_names(),
                  "); for raw numbers give --shape and --dtype"));
}

// Options that the format did not need must not contradict what the file says.
void check_expectations(const Dataset& data, const OpenOptions& options) {
  const TensorDesc& row = data.x().row;
  const bool same_dtype = !options.dtype || *options.dtype == row.dtype();
  const bool same_shape =
      options.row_shape.empty() || std::ranges::equal(options.row_shape, row.extents());
  if (same_dtype && same_shape) return;
  std::string expected = options.dtype ? diabolo::name(*options.dtype) : diabolo::name(row.dtype());
  for (const int64_t extent : options.row_shape) expected += cat(" ", extent);
  throw Error(ErrorCode::kUsage,
              cat(data.name(), ": has ", data.text(), ", --dtype and --shape say ", expected,
                  " for a row; leave them out or mend them"));
}

}  // namespace

std::unique_ptr<Dataset> open_dataset(const std::string& path, const OpenOptions& options) {
  ByteSource source = ByteSource::open(path, options.fs);
  const Format& format = choose(source, options);
  require_table(source, format, options);
  auto data = format.open(std::move(source), options);
  check_expectations(*data, options);
  return data;
}

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const Format* format : kFormats) names.emplace_back(format->name);
  return names;
}

std::string format_files() {
  std::string text;
  for (size_t i = 0; i < kFormats.size(); ++i) {
    const bool is_last = i + 1 == kFormats.size();
    text += cat(i == 0 ? "" : is_last ? " or " : ", ", kFormats[i]->files);
  }
  return text;
}

}  // namespace diabolo
