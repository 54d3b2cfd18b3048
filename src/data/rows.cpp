#include "data/rows.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/checked.h"
#include "base/error.h"

namespace diabolo {
namespace {

static_assert(std::endian::native == std::endian::little, "files are read as little-endian");

std::string shape_text(DType dtype, std::span<const uint64_t> extents) {
  std::string text = cat(name(dtype), "[");
  // A rank that is refused need not be printed in full.
  const size_t shown = std::min<size_t>(extents.size(), 2 * kMaxRank);
  for (size_t i = 0; i < shown; ++i) text += cat(i ? "," : "", extents[i]);
  return text + (shown < extents.size() ? ",...]" : "]");
}

void swap_file_bytes(const RowFileOptions& options, std::span<std::byte> bytes) {
  if (options.order == ByteOrder::kBig) swap_bytes(options.row.dtype(), bytes);
}

class RowFileDataset final : public Dataset {
 public:
  RowFileDataset(ByteSource source, const RowFileOptions& options)
      : Dataset(source.name(), {{"x", options.row}}, options.rows),
        source_(std::move(source)),
        options_(options),
        start_(source_.position()) {
    is_stream_ = source_.is_stream();
    gives_parts_ = !is_stream_;
    if (!is_stream_) identity_ = source_.file().identity();
    if (is_stream_) expect_end();
  }

 private:
  uint64_t read_rows(size_t, uint64_t first_row, uint64_t count,
                     std::span<std::byte> destination) const override {
    if (is_stream_) return read_stream(first_row, count, destination);
    source_.pread(start_ + first_row * options_.row.bytes(), destination);
    swap_file_bytes(options_, destination);
    return count;
  }

  uint64_t read_stream(uint64_t first_row, uint64_t count, std::span<std::byte> destination) const {
    DIABOLO_CHECK(first_row == next_row_, first_row, ", the stream is at ", next_row_);
    const uint64_t row_bytes = options_.row.bytes();
    const size_t done = source_.read(destination);
    const bool is_cut = options_.rows ? done < destination.size() : done % row_bytes != 0;
    if (is_cut) {
      source_.fail(cat("ends within row ", next_row_ + done / row_bytes, ", at byte ",
                       source_.position(), "; it is cut off"));
    }
    swap_file_bytes(options_, destination.first(done));
    const uint64_t rows_read = done / row_bytes;
    DIABOLO_CHECK(rows_read <= count, rows_read);
    next_row_ += rows_read;
    expect_end();
    return rows_read;
  }

  // A stream does not tell its size: what follows its last row is found by reading on.
  void expect_end() const {
    std::byte extra{};
    if (options_.rows != next_row_ || source_.read({&extra, 1}) == 0) return;
    source_.fail(cat("its header says ", *options_.rows, " rows of ", options_.row.text(),
                     ", and the stream goes on after them; it is damaged, or several files one "
                     "after another: give them one by one"));
  }

  mutable ByteSource source_;  // of a regular file nothing changes
  RowFileOptions options_;
  uint64_t start_;
  mutable uint64_t next_row_ = 0;
};

class MemoryDataset final : public Dataset {
 public:
  MemoryDataset(std::string name, std::span<const std::byte> bytes, const RowFileOptions& options)
      : Dataset(std::move(name), {{"x", options.row}}, options.rows),
        bytes_(bytes),
        options_(options) {
    gives_parts_ = true;
  }
  MemoryDataset(std::string name, std::string identity, std::unique_ptr<std::byte[]> bytes,
                const RowFileOptions& options)
      : MemoryDataset(std::move(name), {bytes.get(), *options.rows * options.row.bytes()},
                      options) {
    identity_ = std::move(identity);
    owned_ = std::move(bytes);
  }

 private:
  uint64_t read_rows(size_t, uint64_t first_row, uint64_t count,
                     std::span<std::byte> destination) const override {
    if (count == 0) return 0;
    std::memcpy(destination.data(), bytes_.data() + first_row * options_.row.bytes(),
                destination.size());
    swap_file_bytes(options_, destination);
    return count;
  }

  std::unique_ptr<std::byte[]> owned_;
  std::span<const std::byte> bytes_;
  RowFileOptions options_;
};

class HeaderDataset final : public Dataset {
 public:
  HeaderDataset(const ByteSource& source, const RowFileOptions& options)
      : Dataset(source.name(), {{"x", options.row}}, options.rows) {
    identity_ = source.file().identity();
  }

 private:
  uint64_t read_rows(size_t, uint64_t, uint64_t, std::span<std::byte>) const override {
    DIABOLO_CHECK(false, name(), " was opened for its header");
    return 0;
  }
};

template <class Word>
void swap_words(std::span<std::byte> bytes) {
  for (size_t i = 0; i + sizeof(Word) <= bytes.size(); i += sizeof(Word)) {
    std::reverse(bytes.begin() + i, bytes.begin() + i + sizeof(Word));
  }
}

}  // namespace

RowShape checked_rows(const std::string& name, ErrorCode code, DType dtype,
                      std::span<const uint64_t> extents) {
  const auto refuse = [&](const std::string& why) {
    throw Error(code, cat(name, ": shape ", shape_text(dtype, extents), " ", why));
  };
  if (extents.empty()) refuse("is a single number; rows are expected");
  if (extents.size() > kMaxRank) refuse(cat("has more than ", kMaxRank, " axes"));
  std::optional<uint64_t> row_elems = 1;
  for (size_t i = 1; i < extents.size() && row_elems; ++i)
    row_elems = checked_mul(*row_elems, extents[i]);
  if (std::ranges::find(extents.subspan(1), 0u) != extents.end())
    refuse("has rows without elements");
  if (!row_elems || *row_elems > kMaxRowElems)
    refuse(cat("has rows of more than ", kMaxRowElems, " elements"));
  const uint64_t row_bytes = *row_elems * size_bytes(dtype);
  const auto bytes = checked_mul(extents[0], row_bytes);
  if (!bytes || !checked_cast<int64_t>(*bytes)) refuse("is larger than any file");
  std::array<int64_t, kMaxRank> row_extents{};
  for (size_t i = 1; i < extents.size(); ++i) row_extents[i - 1] = static_cast<int64_t>(extents[i]);
  return {extents[0], TensorDesc(dtype, std::span(row_extents).first(extents.size() - 1)), *bytes};
}

TensorDesc checked_row(const std::string& name, ErrorCode code, DType dtype,
                       std::span<const int64_t> extents) {
  std::vector<uint64_t> with_rows = {0};
  for (const int64_t extent : extents) {
    if (extent < 1) throw Error(code, cat(name, ": extent ", extent, " of a row; 1 is the least"));
    with_rows.push_back(static_cast<uint64_t>(extent));
  }
  return checked_rows(name, code, dtype, with_rows).row;
}

void check_size(const ByteSource& source, uint64_t header_bytes, const RowShape& shape) {
  const auto size = source.size_bytes();
  if (!size) return;
  const auto expected = checked_add(header_bytes, shape.bytes);
  if (expected == size) return;
  source.fail(cat("its header says ", shape.rows, " rows of ", shape.row.text(), ", ", shape.bytes,
                  " bytes after a header of ", header_bytes, "; the file has ", *size,
                  " bytes; it is damaged or cut off"));
}

void swap_bytes(DType dtype, std::span<std::byte> elements) {
  switch (size_bytes(dtype)) {
    case 2:
      return swap_words<uint16_t>(elements);
    case 4:
      return swap_words<uint32_t>(elements);
    case 8:
      return swap_words<uint64_t>(elements);
    default:
      return;
  }
}

std::unique_ptr<Dataset> row_file_dataset(ByteSource source, const RowFileOptions& options) {
  return std::make_unique<RowFileDataset>(std::move(source), options);
}

std::unique_ptr<Dataset> header_dataset(const ByteSource& source, const RowFileOptions& options) {
  return std::make_unique<HeaderDataset>(source, options);
}

std::unique_ptr<Dataset> owned_dataset(std::string name, std::string identity,
                                       std::unique_ptr<std::byte[]> bytes,
                                       const RowFileOptions& options) {
  DIABOLO_CHECK(options.rows.has_value(), name);
  return std::make_unique<MemoryDataset>(std::move(name), std::move(identity), std::move(bytes),
                                         options);
}

std::unique_ptr<Dataset> memory_dataset(std::string name, const TensorDesc& row,
                                        std::span<const std::byte> bytes) {
  DIABOLO_CHECK(row.bytes() > 0 && bytes.size() % row.bytes() == 0, bytes.size(), " bytes of ",
                row.text());
  return std::make_unique<MemoryDataset>(
      std::move(name), bytes, RowFileOptions{.row = row, .rows = bytes.size() / row.bytes()});
}

}  // namespace diabolo
