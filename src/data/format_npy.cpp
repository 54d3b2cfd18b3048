// .npy files: magic, version, length of the header, header, numbers. Arrays in Fortran order have
// the rows' elements apart; they are gathered column by column.
#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "data/format.h"
#include "data/npy_header.h"
#include "data/rows.h"

namespace diabolo {
namespace {

// Columns are read into a buffer of this size and turned into rows from there. Half of
// a second-level cache: 784 columns of f32 are turned at the speed of reading rows.
constexpr uint64_t kGatherBytes = 1 << 20;
// As many columns at once make whole cache lines of the rows, of which a tile stays in the
// first-level cache.
constexpr uint64_t kColumns = 64;
constexpr uint64_t kTileRows = 16;
// Shorter columns are read with their neighbours, more rows of them than are wanted.
constexpr uint64_t kShortColumnBytes = 4096;
constexpr uint64_t kMostColumnBytes = 64 << 10;

bool sniff(const ByteSource& source, const OpenOptions&) {
  const auto head = source.head();
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
  // Columns in the buffer: element (row, i) of the columns from `first` on at i * stride_bytes
  // + row * element bytes.
  struct Columns {
    uint64_t first = 0, count = 0;
    uint64_t stride_bytes = 0;
    const std::byte* data = nullptr;
  };

  uint64_t elem_bytes() const { return size_bytes(shape_.row.dtype()); }

  uint64_t read_rows(uint64_t first_row, uint64_t count,
                     std::span<const FieldRows> wanted) const override {
    if (count == 0) return 0;
    const std::span<std::byte> destination = wanted.front().bytes;
    const uint64_t column_bytes = shape_.rows * elem_bytes();
    const bool takes_most = shape_.rows / 4 <= count;
    if (column_bytes <= kShortColumnBytes || (takes_most && column_bytes <= kMostColumnBytes)) {
      read_whole(first_row, count, destination.data());
    } else {
      read_parts(first_row, count, destination.data());
    }
    if (order_ == ByteOrder::kBig) swap_bytes(shape_.row.dtype(), destination);
    return count;
  }

  // Whole columns, as many at once as the buffer holds.
  void read_whole(uint64_t first_row, uint64_t count, std::byte* to) const {
    const auto width = static_cast<uint64_t>(shape_.row.elems());
    const uint64_t column_bytes = shape_.rows * elem_bytes();
    const uint64_t columns = std::min(width, kGatherBytes / column_bytes);
    std::vector<std::byte> buffer(columns * column_bytes);
    for (uint64_t column = 0; column < width; column += columns) {
      const uint64_t some = std::min(columns, width - column);
      source_.pread(start_ + column * column_bytes, std::span(buffer).first(some * column_bytes));
      turn({column, some, column_bytes, buffer.data() + first_row * elem_bytes()}, count, to);
    }
  }

  // The wanted rows of each column.
  void read_parts(uint64_t first_row, uint64_t count, std::byte* to) const {
    const auto width = static_cast<uint64_t>(shape_.row.elems());
    const uint64_t columns = std::min(width, kColumns);
    const uint64_t step = std::min(count, kGatherBytes / (columns * elem_bytes()));
    // Odd in cache lines, so that the columns of a tile do not fall into one set of the cache.
    const uint64_t stride = (step * elem_bytes() / 64 | 1) * 64 + 128;
    std::vector<std::byte> buffer(columns * stride);
    for (uint64_t row = 0; row < count; row += step) {
      const uint64_t rows = std::min(step, count - row);
      for (uint64_t column = 0; column < width; column += columns) {
        const uint64_t some = std::min(columns, width - column);
        for (uint64_t i = 0; i < some; ++i)
          source_.pread(start_ + ((column + i) * shape_.rows + first_row + row) * elem_bytes(),
                        std::span(buffer).subspan(i * stride, rows * elem_bytes()));
        turn({column, some, stride, buffer.data()}, rows, to + row * shape_.row.bytes());
      }
    }
  }

  // Puts the first `rows` elements of columns into rows.
  void turn(const Columns& columns, uint64_t rows, std::byte* to) const {
    switch (elem_bytes()) {
      case 1:
        return turn_words<uint8_t>(columns, rows, to);
      case 2:
        return turn_words<uint16_t>(columns, rows, to);
      case 4:
        return turn_words<uint32_t>(columns, rows, to);
      default:
        return turn_words<uint64_t>(columns, rows, to);
    }
  }

  template <class Word>
  void turn_words(const Columns& columns, uint64_t rows, std::byte* to) const {
    std::array<uint64_t, kColumns> places;
    const uint64_t row_bytes = shape_.row.bytes();
    for (uint64_t first = 0; first < columns.count; first += kColumns) {
      const uint64_t some = std::min(kColumns, columns.count - first);
      for (uint64_t i = 0; i < some; ++i)
        places[i] = row_major(columns.first + first + i) * sizeof(Word);
      const std::byte* from = columns.data + first * columns.stride_bytes;
      for (uint64_t tile = 0; tile < rows; tile += kTileRows) {
        const uint64_t end = std::min(rows, tile + kTileRows);
        for (uint64_t row = tile; row < end; ++row)
          for (uint64_t i = 0; i < some; ++i)
            std::memcpy(to + row * row_bytes + places[i],
                        from + i * columns.stride_bytes + row * sizeof(Word), sizeof(Word));
      }
    }
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
  if (!sniff(source, options)) source.fail("is not a .npy file");
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

const Format kNpyFormat = {"npy", ".npy", sniff, open};

}  // namespace diabolo
