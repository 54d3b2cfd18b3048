// Opens bytes as a data file and as a stream, and reads every row in several ways.
#pragma once

#include <algorithm>
#include <vector>

#include "base/memory_file_system.h"
#include "data/dataset.h"
#include "fuzz/fuzz.h"

namespace diabolo::fuzz {

// What a caller may hold of one block.
inline constexpr uint64_t kBlockBytes = 64 << 10;

inline void read_in_blocks(const Dataset& data, uint64_t block_rows) {
  const uint64_t row_bytes = data.x().row.bytes();
  std::vector<std::byte> block(block_rows * row_bytes);
  for (uint64_t first = 0; !data.rows() || first < *data.rows();) {
    const uint64_t wanted = data.rows() ? std::min(block_rows, *data.rows() - first) : block_rows;
    const auto part = std::span(block).first(wanted * row_bytes);
    const uint64_t rows = data.read(0, first, wanted, part);
    first += rows;
    if (rows < wanted) return;
  }
}

inline void open_and_read(std::string_view content, testing::MemoryFileSystem::Kind kind,
                          const char* format) {
  const auto action = [&] {
    testing::MemoryFileSystem fs(content, kind);
    const auto data = open_dataset("input", {.format = format, .fs = &fs});
    const uint64_t row_bytes = data->x().row.bytes();
    // Longer rows than the file has bytes exist only where there are no rows.
    if (data->rows() == 0u || row_bytes > kBlockBytes) return;
    read_in_blocks(*data, std::max<uint64_t>(1, kBlockBytes / row_bytes));
    if (!data->is_stream()) read_in_blocks(*data, 1 + *data->rows() / 3);
  };
  expect_clean(action, ErrorCode::kData, ErrorCode::kData);
}

inline void fuzz_format(std::string_view content, const char* format) {
  open_and_read(content, testing::MemoryFileSystem::Kind::kRegular, format);
  open_and_read(content, testing::MemoryFileSystem::Kind::kPipe, format);
}

}  // namespace diabolo::fuzz
