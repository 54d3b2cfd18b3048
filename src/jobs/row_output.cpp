#include "jobs/row_output.h"

#include <charconv>

#include "base/checked.h"
#include "base/file_calls.h"
#include "base/half.h"
#include "kernels/common/scalar.h"

namespace diabolo {
namespace {

bool wants_csv(const RowOutputOptions& options) {
  return options.format.empty() ? options.path.ends_with(".csv") : options.format == "csv";
}

template <class Number>
void append_number(std::string& text, Number value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  text.append(buffer, end);
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// One entry of the list of rows.
TensorDesc list_row() {
  return TensorDesc(DType::kU64, std::span<const int64_t>{});
}

void check(const RowOutputOptions& options, bool is_csv, bool streams) {
  const auto refuse = [](const std::string& text) { throw Error(ErrorCode::kUsage, text); };
  const DType type = options.row.dtype();
  if (type != DType::kF32 && type != DType::kF16 && type != DType::kBf16)
    refuse(cat("output type: expected f32, f16 or bf16, found ", name(type)));
  if (is_csv && type != DType::kF32)
    refuse(cat(options.path, ": numbers in CSV are not ", name(type), "; leave the type out"));
  if (options.worst > 0 && !is_csv)
    refuse(options.path + ": the worst features of each row need a .csv output");
  if (options.resume && streams)
    refuse(options.path + ": a stream cannot be resumed; write to a file");
  if (streams && options.may_skip && !is_csv)
    refuse(
        options.path +
        ": rows may be left out, and a stream has no place for the list of those that are not; "
        "write .csv, which numbers its rows, or to a file, or use --on-bad-value zero|mean|error");
}

}  // namespace

std::optional<uint64_t> output_bytes(const RowOutputOptions& options) {
  if (wants_csv(options) || !options.rows) return std::nullopt;
  const auto writer = make_row_writer(options.path, options.format, options.row);
  const uint64_t row_bytes = options.row.bytes() + (options.may_skip ? list_row().bytes() : 0);
  const auto rows = checked_mul(*options.rows, row_bytes);
  const uint64_t list_header = options.may_skip ? npy_header(list_row(), 0).size() : 0;
  return rows ? checked_add(*rows, writer->header_bytes() + list_header) : std::nullopt;
}

std::string list_path(const std::string& path) {
  return path + ".rows.npy";
}

RowOutput::RowOutput(const RowOutputOptions& options, FileSystem& fs)
    : fs_(fs), options_(options), is_csv_(wants_csv(options)) {
  const bool streams = is_stream_path(options.path, fs);
  check(options, is_csv_, streams);
  if (!is_csv_) format_ = make_row_writer(options.path, options.format, options.row);
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

void RowOutput::write_csv_header() {
  std::string header = options_.may_skip ? "row," : "";
  if (options_.row.rank() == 0) {
    header += "score";
    for (int64_t m = 1; m <= options_.worst; ++m)
      header += cat(",worst_", m, "_feature,worst_", m, "_error");
  } else {
    for (int64_t i = 0; i < options_.row.elems(); ++i) header += cat(i > 0 ? "," : "", "x", i);
  }
  sink_->write(header + "\n");
}

void RowOutput::append_csv(const ResultRows& rows) {
  const auto width = static_cast<size_t>(options_.row.elems());
  const auto worst = static_cast<size_t>(options_.worst);
  for (size_t row = 0; row < rows.values.size() / width; ++row) {
    if (options_.may_skip) {
      append_number(text_, rows.numbers[row]);
      text_ += ',';
    }
    for (size_t i = 0; i < width; ++i) {
      if (i > 0) text_ += ',';
      append_number(text_, rows.values[row * width + i]);
    }
    for (size_t m = row * worst; m < (row + 1) * worst; ++m) {
      text_ += ',';
      append_number(text_, rows.index[m]);
      text_ += ',';
      append_number(text_, rows.error[m]);
    }
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
  if (has_list()) partial_->companion().write(std::as_bytes(rows.numbers));
  const DType type = options_.row.dtype();
  if (type == DType::kF32) return sink_->write(std::as_bytes(rows.values));
  halves_.resize(rows.values.size());
  for (size_t i = 0; i < halves_.size(); ++i)
    halves_[i] =
        type == DType::kF16 ? float_to_half(rows.values[i]) : kernels::to_bf16(rows.values[i]).bits;
  sink_->write(std::as_bytes(std::span(halves_)));
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
