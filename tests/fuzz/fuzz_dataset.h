// Opens bytes as a data file and as a stream, and reads every row in several ways.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "base/memory_file_system.h"
#include "data/block_reader.h"
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

// All fields at once.
inline void read_fields(const Dataset& data) {
  const uint64_t row_bytes = std::max<uint64_t>(1, data.x().row.bytes());
  BlockReader reader(data, std::clamp<uint64_t>(kBlockBytes / row_bytes, 1, 100),
                     {FieldRole::kX, FieldRole::kLabel, FieldRole::kId, FieldRole::kRow});
  RowBlock block;
  while (reader.next(block)) {
  }
}

// Options of tables, as the first bytes say.
inline OpenOptions table_options(std::string_view content) {
  constexpr std::array kNames = {"",         "0",    "number:1", "a",
                                 "name:0,b", "none", "c",        "18446744073709551616"};
  const auto byte = [&](size_t i) {
    return i < content.size() ? static_cast<unsigned char>(content[i]) : 0u;
  };
  OpenOptions options;
  options.usual.row = TensorDesc(DType::kF64, {2});
  if (byte(2) & 4) options.usual.features = {"a", "c"};
  options.usual.has_ids_first = (byte(2) & 8) != 0;
  ColumnNames& names = byte(0) & 1 ? options.table.columns : options.usual.table.columns;
  names = {kNames.at(byte(0) >> 1 & 7), kNames.at(byte(1) & 7), kNames.at(byte(1) >> 3 & 7)};
  if (byte(2) & 1) options.table.header = byte(2) & 2 ? HeaderLine::kYes : HeaderLine::kNo;
  return options;
}

inline void open_and_read(std::string_view content, testing::MemoryFileSystem::Kind kind,
                          const char* format, OpenOptions options = {}) {
  const auto action = [&] {
    testing::MemoryFileSystem fs(content, kind);
    options.format = format;
    options.fs = &fs;
    const auto data = open_dataset("input", options);
    const uint64_t row_bytes = data->x().row.bytes();
    // Longer rows than the file has bytes exist only where there are no rows.
    if (data->rows() == 0u || row_bytes > kBlockBytes) return;
    if (data->fields().size() > 1) return read_fields(*data);
    read_in_blocks(*data, std::max<uint64_t>(1, kBlockBytes / row_bytes));
    if (!data->is_stream()) read_in_blocks(*data, 1 + *data->rows() / 3);
  };
  expect_clean(action, ErrorCode::kData, ErrorCode::kUsage);
}

inline void fuzz_table(std::string_view content, const char* format) {
  const OpenOptions table = table_options(content);
  open_and_read(content, testing::MemoryFileSystem::Kind::kRegular, format, table);
  open_and_read(content, testing::MemoryFileSystem::Kind::kPipe, format, table);
}

inline void fuzz_format(std::string_view content, const char* format) {
  open_and_read(content, testing::MemoryFileSystem::Kind::kRegular, format);
  open_and_read(content, testing::MemoryFileSystem::Kind::kPipe, format);
}

}  // namespace diabolo::fuzz
