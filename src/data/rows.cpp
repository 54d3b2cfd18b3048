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
    as_usual_ = options_.as_usual;
    if (!is_stream_) identity_ = source_.file().identity();
    if (is_stream_) expect_end();
  }

 private:
  uint64_t read_rows(uint64_t first_row, uint64_t count,
                     std::span<const FieldRows> wanted) const override {
    const std::span<std::byte> destination = wanted.front().bytes;
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

std::vector<Field> fields_of(std::span<const MemoryField> fields) {
  std::vector<Field> out;
  for (const MemoryField& one : fields) out.push_back(one.field);
  return out;
}

class MemoryDataset final : public Dataset {
 public:
  MemoryDataset(std::string name, std::vector<MemoryField> fields, uint64_t rows,
                ByteOrder order = ByteOrder::kLittle)
      : Dataset(std::move(name), fields_of(fields), rows),
        memory_(std::move(fields)),
        order_(order) {
    gives_parts_ = true;
  }
  void own(std::string identity, std::unique_ptr<std::byte[]> bytes) {
    identity_ = std::move(identity);
    owned_ = std::move(bytes);
  }

 private:
  uint64_t read_rows(uint64_t first_row, uint64_t count,
                     std::span<const FieldRows> wanted) const override {
    if (count == 0) return 0;
    for (const FieldRows& to : wanted) {
      const MemoryField& from = memory_[to.field];
      const uint64_t row_bytes = from.field.row.bytes();
      if (from.field.is_text) {
        std::ranges::copy(from.texts.subspan(first_row, count), to.texts.begin());
        continue;
      }
      std::memcpy(to.bytes.data(), from.bytes.data() + first_row * row_bytes, to.bytes.size());
      if (order_ == ByteOrder::kBig) swap_bytes(from.field.row.dtype(), to.bytes);
    }
    return count;
  }

  std::unique_ptr<std::byte[]> owned_;
  std::vector<MemoryField> memory_;
  ByteOrder order_;
};

uint64_t rows_of(const MemoryField& memory) {
  if (memory.field.is_text) return memory.texts.size();
  const uint64_t row_bytes = memory.field.row.bytes();
  DIABOLO_CHECK(row_bytes > 0 && memory.bytes.size() % row_bytes == 0, memory.bytes.size(),
                " bytes of ", memory.field.row.text());
  return memory.bytes.size() / row_bytes;
}

class HeaderDataset final : public Dataset {
 public:
  HeaderDataset(const ByteSource& source, const RowFileOptions& options)
      : Dataset(source.name(), {{"x", options.row}}, options.rows) {
    identity_ = source.file().identity();
  }

 private:
  uint64_t read_rows(uint64_t, uint64_t, std::span<const FieldRows>) const override {
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
  const MemoryField x{{"x", options.row}, {bytes.get(), *options.rows * options.row.bytes()}, {}};
  auto data = std::make_unique<MemoryDataset>(std::move(name), std::vector{x}, *options.rows,
                                              options.order);
  data->own(std::move(identity), std::move(bytes));
  return data;
}

std::unique_ptr<Dataset> memory_table(std::string name, const std::vector<MemoryField>& fields) {
  DIABOLO_CHECK(!fields.empty(), name);
  const uint64_t rows = rows_of(fields.front());
  for (const MemoryField& field : fields)
    DIABOLO_CHECK(rows_of(field) == rows, field.field.name, ": ", rows_of(field), " of ", rows);
  return std::make_unique<MemoryDataset>(std::move(name), fields, rows);
}

namespace {

class RowsToMake final : public Dataset {
 public:
  RowsToMake(uint64_t rows, const TensorDesc& row) : Dataset("draws", {{"x", row}}, rows) {
    gives_parts_ = true;
  }

 protected:
  uint64_t read_rows(uint64_t, uint64_t, std::span<const FieldRows>) const override {
    throw InternalError("rows that are yet to be made are read");
  }
};

}  // namespace

std::unique_ptr<Dataset> rows_to_make(uint64_t rows, const TensorDesc& row) {
  return std::make_unique<RowsToMake>(rows, row);
}

std::unique_ptr<Dataset> memory_dataset(std::string name, const TensorDesc& row,
                                        std::span<const std::byte> bytes) {
  return memory_table(std::move(name), {{{"x", row}, bytes, {}}});
}

}  // namespace diabolo
