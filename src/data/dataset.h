// A data set: rows of named fields, read in any number at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/file_system.h"
#include "base/tensor.h"

namespace diabolo {

// One named part of a row.
struct Field {
  std::string name;  // "x": what the model sees
  TensorDesc row;    // of one row, e.g. u8[28,28]; rank 0 to 4; its width is row.elems()
};

// Immutable; read is safe from several threads at once, except on a stream.
class Dataset {
 public:
  virtual ~Dataset() = default;

  // Path as the user gave it, for messages.
  const std::string& name() const { return name_; }
  // Nothing for a stream that does not say how many rows follow.
  std::optional<uint64_t> rows() const { return rows_; }
  std::span<const Field> fields() const { return fields_; }
  // The field "x"; every data set has it.
  const Field& x() const { return fields_.front(); }
  // A stream gives its rows once, in order, to one thread.
  bool is_stream() const { return is_stream_; }
  // Whether rows are images: u8 or u16 of two axes or more, in whatever file or memory they come.
  // By type and shape, never by values; decides the default scaling and nothing else.
  bool holds_images() const;
  // What tells this content from another (File::identity); empty for a stream.
  const std::string& identity() const { return identity_; }

  // Reads count rows from first_row of fields()[field] into destination, which has exactly count
  // rows' bytes: contiguous, row-major, the field's dtype in this machine's byte order.
  // Returns the rows read: count, fewer only at the end of a stream. Throws Error{kData} where the
  // file cannot be read or is damaged. Rows beyond rows() and a stream read out of order are bugs.
  uint64_t read(size_t field, uint64_t first_row, uint64_t count,
                std::span<std::byte> destination) const;

  // Whether a few rows are read as cheaply as many, and by several threads: not columns, not
  // a stream.
  bool gives_parts() const { return gives_parts_; }

  // "u8[60000,28,28]", or "u8[*,28,28]" where the number of rows is unknown.
  std::string text() const;

 protected:
  Dataset(std::string name, std::vector<Field> fields, std::optional<uint64_t> rows);

  // As read, with the arguments checked.
  virtual uint64_t read_rows(size_t field, uint64_t first_row, uint64_t count,
                             std::span<std::byte> destination) const = 0;

  bool is_stream_ = false;
  bool gives_parts_ = false;
  std::string identity_;

 private:
  std::string name_;
  std::vector<Field> fields_;
  std::optional<uint64_t> rows_;
};

struct OpenOptions {
  // Empty: found from the file's first bytes and its name. Else one of format_names().
  std::string format = {};
  // Raw files: type and shape of one row (28,28, not 60000,28,28). Other formats: if given, they
  // must agree with the file.
  std::optional<DType> dtype = {};
  std::vector<int64_t> row_shape = {};
  // For a look at type and shape: the rows of a compressed file are neither unpacked nor checked,
  // and reading them is a bug.
  bool only_header = false;
  // What a compressed file may take in memory when unpacked.
  uint64_t max_unpacked_bytes = uint64_t{8} << 30;
  FileSystem* fs = nullptr;  // null: the real one
};

// Opens a data file, or standard input ("-"). Throws Error{kData}, or Error{kUsage} for options
// that are missing or do not fit.
std::unique_ptr<Dataset> open_dataset(const std::string& path, const OpenOptions& options = {});

// Rows that are in memory already, for the library's callers and for tests. bytes must be rows of
// row.bytes() each; borrowed while the data set lives.
std::unique_ptr<Dataset> memory_dataset(std::string name, const TensorDesc& row,
                                        std::span<const std::byte> bytes);

// All formats that can be read, in the order in which they are tried: "npy", "idx", "raw".
std::vector<std::string> format_names();

}  // namespace diabolo
