#include "jobs/row_output.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/file_calls.h"
#include "base/half.h"
#include "data/csv_cells.h"
#include "kernels/common/scalar.h"

namespace diabolo {
namespace {

void append_number(std::string& text, DType dtype, const std::byte* numbers, uint64_t at) {
  const auto append = [&]<class Number>(Number) {
    append_csv_number(text, reinterpret_cast<const Number*>(numbers)[at]);
  };
  switch (dtype) {
    case DType::kF32:
      return append(float{});
    case DType::kU8:
      return append(uint8_t{});
    case DType::kU16:
      return append(uint16_t{});
    case DType::kU32:
      return append(uint32_t{});
    default:
      throw InternalError(cat("numbers in CSV of type ", name(dtype)));
  }
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

bool is_half(DType type) {
  return type == DType::kF16 || type == DType::kBf16;
}

// What results are called, in a header where each name tells one column.
std::string free_name(std::string name, const std::vector<std::string>& others) {
  while (std::ranges::find(others, name) != others.end()) name += '_';
  return name;
}

template <class Stored, class Convert>
void store(std::span<const float> values, std::vector<std::byte>& stored, Convert convert) {
  stored.resize(values.size() * sizeof(Stored));
  for (size_t i = 0; i < values.size(); ++i) {
    const Stored value = convert(values[i]);
    std::memcpy(stored.data() + i * sizeof value, &value, sizeof value);
  }
}

void store_as(DType dtype, std::span<const float> values, std::vector<std::byte>& stored) {
  switch (dtype) {
    case DType::kF16:
      return store<uint16_t>(values, stored, [](float value) { return float_to_half(value); });
    case DType::kBf16:
      return store<uint16_t>(values, stored,
                             [](float value) { return kernels::to_bf16(value).bits; });
    case DType::kF64:
      return store<double>(values, stored, [](float value) { return static_cast<double>(value); });
    default:
      throw InternalError(cat("floats in files of type ", name(dtype)));
  }
}

// One entry of the list of rows.
TensorDesc list_row() {
  return TensorDesc(DType::kU64, std::span<const int64_t>{});
}

void check(const RowOutputOptions& options, bool to_csv, bool streams) {
  const auto refuse = [](const std::string& text) { throw Error(ErrorCode::kUsage, text); };
  const DType type = options.columns.front().row.dtype();
  if (to_csv && is_half(type))
    refuse(cat(options.path, ": numbers in CSV are not ", name(type), "; leave the type out"));
  if (options.columns.size() > 1 && !to_csv)
    refuse(cat(options.path, ": the ", options.columns[1].output->what,
               " of each row need a .csv output"));
  if (options.resume && streams)
    refuse(options.path + ": a stream cannot be resumed; write to a file");
  if (streams && options.may_skip && !to_csv)
    refuse(
        options.path +
        ": rows may be left out, and a stream has no place for the list of those that are not; "
        "write .csv, which numbers its rows, or to a file, or use --on-bad-value zero|mean|error");
}

}  // namespace

bool is_csv(const RowOutputOptions& options) {
  return is_text(row_format(options.path, options.format));
}

std::optional<uint64_t> output_bytes(const RowOutputOptions& options) {
  if (is_csv(options) || !options.rows) return std::nullopt;
  const TensorDesc& row = options.columns.front().row;
  const auto writer = make_row_writer(options.path, options.format, row);
  const uint64_t row_bytes = row.bytes() + (options.may_skip ? list_row().bytes() : 0);
  const auto rows = checked_mul(*options.rows, row_bytes);
  const uint64_t list_header = options.may_skip ? npy_header(list_row(), 0).size() : 0;
  return rows ? checked_add(*rows, writer->header_bytes() + list_header) : std::nullopt;
}

std::string list_path(const std::string& path) {
  return path + ".rows.npy";
}

RowOutput::RowOutput(const RowOutputOptions& options, FileSystem& fs)
    : fs_(fs), options_(options), is_csv_(is_csv(options)) {
  if (row_format(options.path, options.format) == RowFormat::kTsv) separator_ = '\t';
  const bool streams = is_stream_path(options.path, fs);
  check(options, is_csv_, streams);
  if (!is_csv_) format_ = make_row_writer(options.path, options.format, options.columns[0].row);
  const auto bytes = output_bytes(options);
  if (bytes && !streams) require_free_disk(options.path, *bytes, fs);
  open(format_ ? format_->header_bytes() : 0);
  if (resumed_ != Progress{}) return;  // the header is there
  if (partial_ && partial_->size_bytes() > 0) return;
  format_ ? format_->begin(*sink_, options.rows) : write_csv_header();
  if (has_list()) partial_->companion().write(bytes_of(npy_header(list_row(), 0)));
}

void RowOutput::open(uint64_t header_bytes) {
  if (is_stream_path(options_.path, fs_)) {
    sink_ = std::make_unique<StreamWriter>(options_.path, fs_);
    return;
  }
  PartialOptions partial;
  partial.identity = options_.identity;
  partial.resume = options_.resume;
  partial.header_bytes = header_bytes;
  if (options_.may_skip && !is_csv_) {
    partial.companion = list_path(options_.path);
    partial.companion_header_bytes = npy_header(list_row(), 0).size();
  } else {
    partial.old_companion = list_path(options_.path);
  }
  auto writer = std::make_unique<PartialWriter>(options_.path, partial, fs_);
  partial_ = writer.get();
  resumed_ = writer->resumed();
  sink_ = std::move(writer);
}

// Columns from `first` on whose numbers alternate.
std::span<const OutputColumn> RowOutput::group_at(size_t first) const {
  const std::span<const OutputColumn> left = std::span(options_.columns).subspan(first);
  size_t count = 1;
  while (count < left.size() && left[count].output->alternates) ++count;
  return left.first(count);
}

std::vector<std::string> RowOutput::result_names() const {
  std::vector<std::string> names;
  for (size_t c = 0; c < options_.columns.size(); c += group_at(c).size())
    for (int64_t i = 0; i < options_.columns[c].row.elems(); ++i)
      for (const OutputColumn& column : group_at(c))
        names.push_back(column.output->is_scaled && !options_.feature_names.empty()
                            ? options_.feature_names[static_cast<size_t>(i)]
                            : column.output->csv_name_of(i));
  return names;
}

void RowOutput::write_csv_header() {
  std::vector<std::string> names = result_names();
  const bool has_ids = options_.id_name.has_value();
  if (has_ids) names.insert(names.begin(), free_name(*options_.id_name, names));
  if (options_.is_numbered) names.insert(names.begin() + has_ids, free_name("row", names));
  std::string header;
  for (const std::string& name : names) {
    header += separator_;
    append_csv_text(header, name);
  }
  sink_->write(header.substr(1) + "\n");
}

void RowOutput::append_csv(const ResultRows& rows) {
  for (uint64_t row = 0; row < rows.rows; ++row) {
    const size_t begin = text_.size();
    if (options_.id_name) append_csv_text(text_ += separator_, rows.ids[row]);
    if (options_.is_numbered) append_csv_number(text_ += separator_, rows.numbers[row]);
    for (size_t c = 0; c < options_.columns.size(); c += group_at(c).size()) {
      const auto group = group_at(c);
      const auto width = static_cast<uint64_t>(group.front().row.elems());
      for (uint64_t at = row * width; at < (row + 1) * width; ++at)
        for (size_t i = 0; i < group.size(); ++i)
          append_number(text_ += separator_, group[i].row.dtype(), rows.columns[c + i].data(), at);
    }
    text_.erase(begin, 1);  // the first separator
    text_ += '\n';
  }
}

void RowOutput::write(const ResultRows& rows) {
  if (is_csv_) {
    text_.clear();
    append_csv(rows);
    sink_->write(text_);
    return;
  }
  if (has_list()) {
    DIABOLO_CHECK(rows.numbers.size() == rows.rows, rows.numbers.size());
    partial_->companion().write(std::as_bytes(rows.numbers));
  }
  const TensorDesc& row = options_.columns.front().row;
  const std::span<const std::byte> bytes = rows.columns.front();
  const auto* values = reinterpret_cast<const float*>(bytes.data());
  const DType dtype = row.dtype();
  if (dtype == DType::kF32 || !is_float(dtype)) return sink_->write(bytes);
  store_as(dtype, {values, bytes.size() / sizeof(float)}, stored_);
  sink_->write(stored_);
}

void RowOutput::checkpoint(const Progress& progress) {
  if (partial_) partial_->checkpoint(progress);
}

void RowOutput::finish(uint64_t rows) {
  if (format_) format_->finish(*sink_, rows);
  if (has_list()) partial_->companion().write_at(0, bytes_of(npy_header(list_row(), rows)));
  sink_->commit();
}

}  // namespace diabolo
