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

namespace diabolo {

struct RowOutputOptions {
  std::string path;      // "-": standard output
  std::string format;    // "npy", "raw", "csv"; empty: by the name, else raw
  TensorDesc row;        // type (f32, f16, bf16) and shape of one row
  int64_t worst = 0;     // score: pairs of feature and error behind each score; csv only
  std::string identity;  // of everything that decides the bytes; see PartialOptions
  bool resume = false;
  std::optional<uint64_t> rows;  // that will be written, where known
  bool may_skip = false;         // fewer may come
};

// One thread at a time. Destroyed without finish() it leaves what a resumption needs, if anything.
class RowOutput {
 public:
  // Writes the header. Throws Error{kUsage} for formats and resumptions that cannot be,
  // Error{kResource} where the disk has no room for all rows.
  RowOutput(const RowOutputOptions& options, FileSystem& fs);

  const Progress& resumed() const { return resumed_; }

  // values: whole rows. index and error: `worst` of each row, where asked for.
  void write(std::span<const float> values, std::span<const uint32_t> index,
             std::span<const float> error);
  void checkpoint(const Progress& progress);
  // Corrects the header and gives the output its name.
  void finish(uint64_t rows);

 private:
  void open(uint64_t header_bytes, FileSystem& fs);
  void write_csv_header();
  void append_csv(std::span<const float> values, std::span<const uint32_t> index,
                  std::span<const float> error);

  RowOutputOptions options_;
  bool is_csv_ = false;
  std::unique_ptr<RowWriter> format_;  // null for csv
  std::unique_ptr<Sink> sink_;
  PartialWriter* partial_ = nullptr;  // sink_, where it is one
  Progress resumed_;
  std::vector<uint16_t> halves_;
  std::string text_;
};

// Bytes of a whole output, header included; nothing for csv.
std::optional<uint64_t> output_bytes(const RowOutputOptions& options);

}  // namespace diabolo
