#include "data/writer.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"
#include "data/npy_header.h"

namespace diabolo {
namespace {

// The largest number of rows has 20 digits: reserving them makes the header's length the same for
// every number.
constexpr uint64_t kAlignment = 64;

const char* npy_descr(DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return "|b1";
    case DType::kU8:
      return "|u1";
    case DType::kI8:
      return "|i1";
    case DType::kU16:
      return "<u2";
    case DType::kI16:
      return "<i2";
    case DType::kU32:
      return "<u4";
    case DType::kI32:
      return "<i4";
    case DType::kU64:
      return "<u8";
    case DType::kI64:
      return "<i8";
    case DType::kF16:
      return "<f2";
    case DType::kF32:
      return "<f4";
    case DType::kF64:
      return "<f8";
    case DType::kBf16:
      return nullptr;
  }
  return nullptr;
}

std::string npy_dictionary(const TensorDesc& row, uint64_t rows) {
  std::string text = cat("{'descr': '", npy_descr(row.dtype()),
                         "', 'fortran_order': False, 'shape': (", rows, ",");
  for (const int64_t extent : row.extents()) text += cat(" ", extent, ",");
  return text + "), }";
}

class NpyWriter final : public RowWriter {
 public:
  explicit NpyWriter(const TensorDesc& row) : row_(row) {}

  uint64_t header_bytes() const override { return npy_header(row_, 0).size(); }

  void begin(Sink& sink, std::optional<uint64_t> rows) override {
    if (!rows && !sink.can_rewrite()) {
      throw Error(
          ErrorCode::kUsage,
          "a .npy output says in front how many rows follow, which is not known of this input; "
          "write to a file or use the raw format");
    }
    rows_ = rows.value_or(0);
    sink.write(npy_header(row_, rows_));
  }

  void finish(Sink& sink, uint64_t rows) override {
    if (!sink.can_rewrite()) {
      DIABOLO_CHECK(rows == rows_, rows, " rows written, ", rows_, " announced");
      return;
    }
    const std::string header = npy_header(row_, rows);
    sink.write_at(0, std::as_bytes(std::span(header)));
  }

 private:
  TensorDesc row_;
  uint64_t rows_ = 0;
};

class RawWriter final : public RowWriter {
 public:
  uint64_t header_bytes() const override { return 0; }
  void begin(Sink&, std::optional<uint64_t>) override {}
  void finish(Sink&, uint64_t) override {}
};

// "npy" of "a/b.NPY"; empty where the name has no dot but in front.
std::string end_of(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos || dot == 0) return "";
  std::string end = name.substr(dot + 1);
  std::ranges::transform(end, end.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return end;
}

}  // namespace

RowFormat row_format(const std::string& path, std::string_view format) {
  const std::string is = format.empty() ? end_of(path) : std::string(format);
  if (is == "npy") return RowFormat::kNpy;
  if (is == "csv") return RowFormat::kCsv;
  if (is == "tsv") return RowFormat::kTsv;
  if (is == "raw" || (format.empty() && (is == "bin" || is.empty()))) return RowFormat::kRaw;
  if (!format.empty())
    throw Error(ErrorCode::kUsage,
                cat("output format ", format, ": expected npy, raw, csv or tsv"));
  throw Error(ErrorCode::kUsage,
              cat(path, ": .", is,
                  " is no format of outputs; they end in .npy, .csv, .tsv, .raw or "
                  ".bin, or --output-format says what it is"));
}

std::string npy_header(const TensorDesc& row, uint64_t rows) {
  const uint64_t longest = npy_dictionary(row, UINT64_MAX).size() + 1;
  const uint64_t fixed = kNpyMagic.size() + 4;
  const uint64_t total = (fixed + longest + kAlignment - 1) / kAlignment * kAlignment;
  const uint64_t length = total - fixed;
  DIABOLO_CHECK(length <= UINT16_MAX, length);
  std::string header(kNpyMagic);
  header += {'\1', '\0', static_cast<char>(length & 0xff), static_cast<char>(length >> 8)};
  header += npy_dictionary(row, rows);
  header.resize(total - 1, ' ');
  return header + '\n';
}

std::unique_ptr<RowWriter> make_row_writer(const std::string& path, std::string_view format,
                                           const TensorDesc& row) {
  const RowFormat is = row_format(path, format);
  if (is_text(is)) {
    throw Error(ErrorCode::kUsage,
                cat(path, ": rows of numbers cannot be written as text; there are npy and raw"));
  }
  if (is == RowFormat::kRaw) return std::make_unique<RawWriter>();
  if (npy_descr(row.dtype()) == nullptr) {
    throw Error(ErrorCode::kUsage, cat(path, ": .npy files do not have the type ",
                                       name(row.dtype()), "; use f32 or f16, or the raw format"));
  }
  return std::make_unique<NpyWriter>(row);
}

}  // namespace diabolo
