#include "run/row_output.h"

#include <charconv>
#include <filesystem>

#include "base/checked.h"
#include "base/half.h"
#include "kernels/common/scalar.h"

namespace diabolo {
namespace {

bool wants_csv(const RowOutputOptions& options) {
  return options.format.empty() ? options.path.ends_with(".csv") : options.format == "csv";
}

void append_number(std::string& text, float value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  text.append(buffer, end);
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
  const bool is_npy = options.format == "npy";
  if (is_npy && streams && options.may_skip)
    refuse(options.path +
           ": rows may be skipped, so their number is not known in front; write to "
           "a file or use the raw format");
}

}  // namespace

std::optional<uint64_t> output_bytes(const RowOutputOptions& options) {
  if (wants_csv(options) || !options.rows) return std::nullopt;
  const auto writer = make_row_writer(options.path, options.format, options.row);
  const auto rows = checked_mul(*options.rows, options.row.bytes());
  return rows ? checked_add(*rows, writer->header_bytes()) : std::nullopt;
}

RowOutput::RowOutput(const RowOutputOptions& options, FileSystem& fs)
    : options_(options), is_csv_(wants_csv(options)) {
  const bool streams = is_stream_path(options.path, fs);
  check(options, is_csv_, streams);
  if (!is_csv_) format_ = make_row_writer(options.path, options.format, options.row);
  const auto bytes = output_bytes(options);
  if (bytes && !streams) require_free_disk(options.path, *bytes, fs);
  open(format_ ? format_->header_bytes() : 0, fs);
  if (resumed_ != Progress{}) return;  // the header is there
  if (partial_ && partial_->size_bytes() > 0) return;
  format_ ? format_->begin(*sink_, options.rows) : write_csv_header();
}

void RowOutput::open(uint64_t header_bytes, FileSystem& fs) {
  if (is_stream_path(options_.path, fs)) {
    sink_ = std::make_unique<StreamWriter>(options_.path, fs);
    return;
  }
  PartialOptions partial;
  partial.identity = options_.identity;
  partial.resume = options_.resume;
  partial.header_bytes = header_bytes;
  auto writer = std::make_unique<PartialWriter>(options_.path, partial, fs);
  partial_ = writer.get();
  resumed_ = writer->resumed();
  sink_ = std::move(writer);
}

void RowOutput::write_csv_header() {
  std::string header;
  if (options_.row.rank() == 0) {
    header = "score";
    for (int64_t m = 1; m <= options_.worst; ++m)
      header += cat(",worst_", m, "_feature,worst_", m, "_error");
  } else {
    for (int64_t i = 0; i < options_.row.elems(); ++i) header += cat(i > 0 ? "," : "", "x", i);
  }
  sink_->write(header + "\n");
}

void RowOutput::append_csv(std::span<const float> values, std::span<const uint32_t> index,
                           std::span<const float> error) {
  const auto width = static_cast<size_t>(options_.row.elems());
  const auto worst = static_cast<size_t>(options_.worst);
  for (size_t row = 0; row < values.size() / width; ++row) {
    for (size_t i = 0; i < width; ++i) {
      if (i > 0) text_ += ',';
      append_number(text_, values[row * width + i]);
    }
    for (size_t m = row * worst; m < (row + 1) * worst; ++m) {
      text_ += cat(",", index[m], ",");
      append_number(text_, error[m]);
    }
    text_ += '\n';
  }
}

void RowOutput::write(std::span<const float> values, std::span<const uint32_t> index,
                      std::span<const float> error) {
  if (is_csv_) {
    text_.clear();
    append_csv(values, index, error);
    sink_->write(text_);
    return;
  }
  const DType type = options_.row.dtype();
  if (type == DType::kF32) return sink_->write(std::as_bytes(values));
  halves_.resize(values.size());
  for (size_t i = 0; i < values.size(); ++i)
    halves_[i] = type == DType::kF16 ? float_to_half(values[i]) : kernels::to_bf16(values[i]).bits;
  sink_->write(std::as_bytes(std::span(halves_)));
}

void RowOutput::checkpoint(const Progress& progress) {
  if (partial_) partial_->checkpoint(progress);
}

void RowOutput::finish(uint64_t rows) {
  if (format_) format_->finish(*sink_, rows);
  sink_->commit();
}

}  // namespace diabolo
