// .npy files: magic, version, length of the header, header, numbers. Arrays in Fortran order have
// the rows' elements apart; they are gathered column by column.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "data/format.h"
#include "data/npy_header.h"
#include "data/rows.h"

namespace diabolo {
namespace {

// Buffer for gathering rows out of columns.
constexpr uint64_t kGatherBytes = 4 << 20;

bool sniff(std::span<const std::byte> head, const OpenOptions&) {
  return head.size() >= kNpyMagic.size() &&
         std::memcmp(head.data(), kNpyMagic.data(), kNpyMagic.size()) == 0;
}

// Row r of a Fortran-ordered array has its elements at r, rows + r, 2 rows + r ... in units of
// elements; which element of the row that is follows from its own axes, first axis fastest.
class FortranDataset final : public Dataset {
 public:
  FortranDataset(ByteSource source, const RowShape& shape, ByteOrder order)
      : Dataset(source.name(), {{"x", shape.row}}, shape.rows),
        source_(std::move(source)),
        shape_(shape),
        order_(order),
        start_(source_.position()) {
    identity_ = source_.file().identity();
  }

 private:
  uint64_t read_rows(size_t, uint64_t first_row, uint64_t count,
                     std::span<std::byte> destination) const override {
    if (count == 0) return 0;
    const uint64_t elem_bytes = size_bytes(shape_.row.dtype());
    const auto width = static_cast<uint64_t>(shape_.row.elems());
    const uint64_t column_bytes = shape_.rows * elem_bytes;
    // Whole columns, many at once, where most of a column is wanted or columns are small.
    const bool takes_all = shape_.rows / 4 <= count || column_bytes <= 4096;
    const bool reads_whole = takes_all && column_bytes <= kGatherBytes;
    const uint64_t columns = reads_whole ? std::min(width, kGatherBytes / column_bytes) : 1;
    const uint64_t rows = reads_whole ? shape_.rows : std::min(count, kGatherBytes / elem_bytes);
    std::vector<std::byte> buffer(columns * rows * elem_bytes);
    for (uint64_t column = 0; column < width; column += columns) {
      const uint64_t some = std::min(columns, width - column);
      if (reads_whole) {
        gather_whole(column, some, first_row, count, buffer, destination);
      } else {
        gather_parts(column, first_row, count, buffer, destination);
      }
    }
    if (order_ == ByteOrder::kBig) swap_bytes(shape_.row.dtype(), destination);
    return count;
  }

  void gather_whole(uint64_t column, uint64_t columns, uint64_t first_row, uint64_t count,
                    std::vector<std::byte>& buffer, std::span<std::byte> destination) const {
    const uint64_t column_bytes = shape_.rows * size_bytes(shape_.row.dtype());
    const auto part = std::span(buffer).first(columns * column_bytes);
    source_.pread(start_ + column * column_bytes, part);
    for (uint64_t i = 0; i < columns; ++i) {
      const std::byte* from = part.data() + i * column_bytes;
      scatter(from + first_row * size_bytes(shape_.row.dtype()), count, column + i,
              destination.data());
    }
  }

  void gather_parts(uint64_t column, uint64_t first_row, uint64_t count,
                    std::vector<std::byte>& buffer, std::span<std::byte> destination) const {
    const uint64_t elem_bytes = size_bytes(shape_.row.dtype());
    const uint64_t step = buffer.size() / elem_bytes;
    for (uint64_t row = 0; row < count; row += step) {
      const uint64_t some = std::min(step, count - row);
      const uint64_t at = column * shape_.rows + first_row + row;
      source_.pread(start_ + at * elem_bytes, std::span(buffer).first(some * elem_bytes));
      scatter(buffer.data(), some, column, destination.data() + row * shape_.row.bytes());
    }
  }

  // Puts the elements of one column, one per row, into rows.
  void scatter(const std::byte* from, uint64_t count, uint64_t column, std::byte* to) const {
    const uint64_t elem_bytes = size_bytes(shape_.row.dtype());
    to += row_major(column) * elem_bytes;
    for (uint64_t i = 0; i < count; ++i)
      std::memcpy(to + i * shape_.row.bytes(), from + i * elem_bytes, elem_bytes);
  }

  // Index within a row-major row of the column-th element in Fortran order.
  uint64_t row_major(uint64_t column) const {
    uint64_t index = 0;
    uint64_t stride = static_cast<uint64_t>(shape_.row.elems());
    for (const int64_t signed_extent : shape_.row.extents()) {
      const auto extent = static_cast<uint64_t>(signed_extent);
      stride /= extent;
      index += column % extent * stride;
      column /= extent;
    }
    return index;
  }

  ByteSource source_;
  RowShape shape_;
  ByteOrder order_;
  uint64_t start_;
};

// Versions 2.0 and 3.0 have four bytes of length; 3.0 allows UTF-8 in field names, which are
// refused anyway.
uint64_t header_length(ByteSource& source) {
  std::array<std::byte, 8> fixed;
  source.next(fixed, "header");
  const int major = std::to_integer<int>(fixed[6]);
  const int minor = std::to_integer<int>(fixed[7]);
  if (major < 1 || major > 3 || minor != 0)
    source.fail(cat("is .npy of version ", major, ".", minor, "; 1.0, 2.0 and 3.0 are known"));
  std::array<std::byte, 4> length{};
  source.next(std::span(length).first(major == 1 ? 2 : 4), "header");
  uint64_t bytes = 0;
  for (int i = 3; i >= 0; --i) bytes = bytes << 8 | std::to_integer<uint64_t>(length[i]);
  if (bytes > kMaxNpyHeaderBytes)
    source.fail(
        cat("has a header of ", bytes, " bytes; at most ", kMaxNpyHeaderBytes, " are accepted"));
  return bytes;
}

std::unique_ptr<Dataset> open(ByteSource source, const OpenOptions& options) {
  if (!sniff(source.head(), options)) source.fail("is not a .npy file");
  const uint64_t length = header_length(source);
  if (const auto size = source.size_bytes(); size && length > *size - source.position())
    source.fail(cat("has a header of ", length, " bytes but only ", *size, " bytes at all"));
  std::string text(length, '\0');
  source.next(std::as_writable_bytes(std::span(text)), "header");
  const NpyHeader header = parse_npy_header(source.name(), text);
  const RowShape shape =
      checked_rows(source.name(), ErrorCode::kData, header.dtype, header.extents);
  check_size(source, source.position(), shape);
  const bool is_scattered = header.is_fortran && shape.row.elems() > 1;
  if (!is_scattered)
    return row_file_dataset(std::move(source),
                            {.row = shape.row, .rows = shape.rows, .order = header.order});
  if (source.is_stream())
    source.fail("is in Fortran order, which a stream cannot be read in; give the file itself");
  return std::make_unique<FortranDataset>(std::move(source), shape, header.order);
}

}  // namespace

const Format kNpyFormat = {"npy", sniff, open};

}  // namespace diabolo
