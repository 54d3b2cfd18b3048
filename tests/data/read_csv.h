// Everything that a CSV file holds, for tests.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/expect_error.h"
#include "base/memory_file_system.h"
#include "data/block_reader.h"
#include "data/make_files.h"

namespace diabolo::testing {

// Everything that a file holds.
struct Content {
  std::string shape;
  std::vector<double> x;
  std::vector<int64_t> labels;
  std::vector<std::string> ids;
};

inline Content content_of(const Dataset& data, uint64_t block_rows) {
  Content out{data.text(), {}, {}, {}};
  BlockReader reader(data, block_rows, {FieldRole::kX, FieldRole::kLabel, FieldRole::kId});
  RowBlock block;
  while (reader.next(block)) {
    const auto append = [](auto& to, std::span<const std::byte> bytes) {
      using T = std::remove_reference_t<decltype(to[0])>;
      if (bytes.empty()) return;
      to.resize(to.size() + bytes.size() / sizeof(T));
      std::memcpy(to.data() + to.size() - bytes.size() / sizeof(T), bytes.data(), bytes.size());
    };
    append(out.x, block.x());
    if (const auto label = data.find(FieldRole::kLabel))
      append(out.labels, block.columns[*label].bytes);
    if (const auto id = data.find(FieldRole::kId))
      for (const std::string& text : block.columns[*id].texts) out.ids.push_back(text);
  }
  return out;
}

using Kind = MemoryFileSystem::Kind;

// What tests say of OpenOptions; of what is usual the columns, beside so many features.
struct TableOptions {
  ColumnNames columns = {};
  std::optional<HeaderLine> header = {};
  std::optional<Separator> separator = {};
  ColumnNames usual = {};
  int64_t usual_features = 0;
};

inline OpenOptions with_table(OpenOptions options, const TableOptions& table) {
  options.table = {table.columns, table.header, table.separator};
  options.usual.table.columns = table.usual;
  if (table.usual_features > 0) options.usual.row = TensorDesc(DType::kF64, {table.usual_features});
  return options;
}

// As a file, in blocks of several sizes, as a pipe and compressed: the same each time.
inline Content read_csv(const std::string& text, TableOptions table = {}) {
  const auto open = [&](const std::string& content, Kind kind, const char* name, uint64_t rows) {
    MemoryFileSystem fs(content, kind);
    return content_of(*open_dataset(name, with_table({.fs = &fs}, table)), rows);
  };
  const Content whole = open(text, Kind::kRegular, "t.csv", 1000);
  for (const uint64_t rows : {1, 3}) {
    const Content parts = open(text, Kind::kRegular, "t.csv", rows);
    EXPECT_EQ(bytes_of(parts.x), bytes_of(whole.x));
    EXPECT_EQ(parts.ids, whole.ids);
  }
  const std::string packed = gzipped(text);
  for (const Content& other :
       {open(text, Kind::kPipe, "t.csv", 3), open(packed, Kind::kRegular, "t.csv.gz", 3)}) {
    EXPECT_EQ(bytes_of(other.x), bytes_of(whole.x));
    EXPECT_EQ(other.labels, whole.labels);
    EXPECT_EQ(other.ids, whole.ids);
  }
  return whole;
}

inline Error csv_error(const std::string& text, TableOptions table = {}, OpenOptions options = {}) {
  MemoryFileSystem fs(text);
  options.fs = &fs;
  options = with_table(options, table);
  return error_of([&] { content_of(*open_dataset("t.csv", options), 2); });
}

}  // namespace diabolo::testing
