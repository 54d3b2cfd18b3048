// IDX files, as MNIST and its kin come: two zero bytes, type, rank, extents as big-endian 32-bit
// numbers, then the elements, big-endian; often compressed with gzip.
#include <algorithm>
#include <array>

#include "base/checked.h"
#include "base/error.h"
#include "data/format.h"
#include "data/gzip.h"
#include "data/rows.h"

namespace diabolo {
namespace {

constexpr size_t kFixedBytes = 4;
constexpr size_t kMaxHeaderBytes = kFixedBytes + 4 * kMaxRank;

std::optional<DType> dtype_of(std::byte code) {
  switch (std::to_integer<int>(code)) {
    case 0x08:
      return DType::kU8;
    case 0x09:
      return DType::kI8;
    case 0x0b:
      return DType::kI16;
    case 0x0c:
      return DType::kI32;
    case 0x0d:
      return DType::kF32;
    case 0x0e:
      return DType::kF64;
    default:
      return std::nullopt;
  }
}

bool is_idx(std::span<const std::byte> head) {
  return head.size() >= kFixedBytes && head[0] == std::byte{0} && head[1] == std::byte{0} &&
         dtype_of(head[2]) && head[3] != std::byte{0};
}

bool sniff(const ByteSource& source, const OpenOptions&) {
  return is_idx(source.head()) || is_gzip(source.head());
}

struct Header {
  RowShape shape;
  uint64_t bytes = 0;

  RowFileOptions options() const {
    return {.row = shape.row, .rows = shape.rows, .order = ByteOrder::kBig};
  }
};

// next(destination) delivers the following bytes.
template <class Next>
Header parse_header(const ByteSource& source, const Next& next) {
  std::array<std::byte, kMaxHeaderBytes> bytes;
  next(std::span(bytes).first(kFixedBytes));
  if (!is_idx(std::span(bytes).first(kFixedBytes))) source.fail("is not an IDX file");
  Header header;
  const auto rank = std::to_integer<size_t>(bytes[3]);
  if (rank > kMaxRank) source.fail(cat("has ", rank, " axes; at most ", kMaxRank, " are accepted"));
  next(std::span(bytes).subspan(kFixedBytes, 4 * rank));
  std::vector<uint64_t> extents(rank, 0);
  for (size_t i = 0; i < 4 * rank; ++i)
    extents[i / 4] = extents[i / 4] << 8 | std::to_integer<uint64_t>(bytes[kFixedBytes + i]);
  header.shape = checked_rows(source.name(), ErrorCode::kData, *dtype_of(bytes[2]), extents);
  header.bytes = kFixedBytes + 4 * rank;
  return header;
}

// Unpacked into memory: rows have to be found by number. The header says how much that takes, and
// the compressed size says how much of it can be true.
std::unique_ptr<Dataset> open_compressed(ByteSource source, const OpenOptions& options) {
  if (source.is_stream()) source.fail("is compressed; a stream has to be unpacked before");
  GzipReader reader(source);
  const Header header =
      parse_header(source, [&](std::span<std::byte> part) { reader.next(part, "header"); });
  const uint64_t bytes = header.shape.bytes;
  const auto possible = checked_mul(*source.size_bytes(), GzipReader::kMaxRatio);
  if (possible && bytes > *possible) {
    source.fail(cat("its header says ", bytes, " bytes, more than ", *source.size_bytes(),
                    " compressed bytes can hold"));
  }
  if (bytes > options.max_unpacked_bytes) {
    throw Error(ErrorCode::kResource,
                cat(source.name(), ": unpacks to ", bytes, " bytes, at most ",
                    options.max_unpacked_bytes, " are allowed; unpack the file with gzip -d"));
  }
  if (options.only_header) return header_dataset(source, header.options());
  auto content = std::make_unique_for_overwrite<std::byte[]>(bytes);
  reader.next({content.get(), bytes}, "rows");
  reader.expect_end();
  return owned_dataset(source.name(), source.file().identity(), std::move(content),
                       header.options());
}

std::unique_ptr<Dataset> open(ByteSource source, const OpenOptions& options) {
  if (is_gzip(source.head())) return open_compressed(std::move(source), options);
  const Header header =
      parse_header(source, [&](std::span<std::byte> part) { source.next(part, "header"); });
  check_size(source, header.bytes, header.shape);
  return row_file_dataset(std::move(source), header.options());
}

}  // namespace

const Format kIdxFormat = {"idx", "IDX, IDX.gz", sniff, open};

}  // namespace diabolo
