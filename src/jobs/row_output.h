// Rows of results on their way to a file, a pipe or standard output, in one of the formats.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/partial_writer.h"
#include "data/writer.h"
#include "infer/inference.h"

namespace diabolo {

// One column of results as the file has it: so many numbers per row.
struct OutputColumn {
  const TaskOutput* output = nullptr;
  TensorDesc row;
};

struct RowOutputOptions {
  std::string path;    // "-": standard output
  std::string format;  // "npy", "raw", "csv", "tsv"; empty: by the name (row_format)
  // What a row has, each with its type (floats also as f16, bf16 or f64) and shape; only CSV has
  // room for more than one.
  std::vector<OutputColumn> columns;
  std::string identity;  // of everything that decides the bytes; see PartialOptions
  bool resume = false;
  std::optional<uint64_t> rows;  // that will be written, where known
  // Fewer may come. Then rows are numbered, and beside what is not CSV there is a list of the
  // numbers, list_path(path): .npy, u64 [rows].
  bool may_skip = false;
  // CSV has the number of each row in a column `row`.
  bool is_numbered = false;
  // The name of the rows' ids, which CSV has in front of all else; nothing where they have none.
  std::optional<std::string> id_name = {};
  std::vector<std::string> feature_names = {};  // what CSV calls the numbers of rows of data
};

// Whole rows of results, column by column; floats are f32.
struct ResultRows {
  uint64_t rows = 0;
  std::span<const std::vector<std::byte>> columns;
  std::span<const uint64_t> numbers = {};  // of the rows in the input, where rows may be skipped
  std::span<const std::string> ids = {};   // where they have some
};

bool is_csv(const RowOutputOptions& options);  // or TSV, which is CSV with tabs

// "OUT.rows.npy"
std::string list_path(const std::string& path);

// One thread at a time. Destroyed without finish() it leaves what a resumption needs, if anything.
class RowOutput {
 public:
  // Writes the header. Throws Error{kUsage} for formats and resumptions that cannot be,
  // Error{kResource} where the disk has no room for all rows.
  RowOutput(const RowOutputOptions& options, FileSystem& fs);

  const Progress& resumed() const { return resumed_; }

  void write(const ResultRows& rows);
  // Where the numbers of the rows are that were not left out, for messages.
  std::string numbers_place() const {
    return is_csv_ ? "the column row" : list_path(options_.path);
  }
  void checkpoint(const Progress& progress);
  // Corrects the header and gives the output its name.
  void finish(uint64_t rows);

 private:
  void open(uint64_t header_bytes);
  std::span<const OutputColumn> group_at(size_t first) const;
  std::vector<std::string> result_names() const;
  void write_csv_header();
  void append_csv(const ResultRows& rows);
  bool has_list() const { return options_.may_skip && !is_csv_ && partial_; }

  FileSystem& fs_;
  RowOutputOptions options_;
  bool is_csv_ = false;
  char separator_ = ',';
  std::unique_ptr<RowWriter> format_;  // null for csv
  std::unique_ptr<Sink> sink_;
  PartialWriter* partial_ = nullptr;  // sink_, where it is one
  Progress resumed_;
  std::vector<std::byte> stored_;  // as another type
  std::string text_;
};

// Bytes of a whole output, headers and list included; nothing for csv.
std::optional<uint64_t> output_bytes(const RowOutputOptions& options);

}  // namespace diabolo
