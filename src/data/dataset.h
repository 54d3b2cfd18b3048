// A data set: a table of rows with named fields, read in any number at a time.
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

// What a part of a row is for.
enum class FieldRole : uint8_t {
  kX,       // what the model sees
  kLabel,   // the class or kind of the row, or a number to be foretold
  kId,      // what the row is called
  kTarget,  // what is to be rebuilt, where that is not x itself
  kWeight,  // how much the row counts
  kMask,    // which of its numbers are known
  kRow,     // u64: its number in what it was made from, where rows were left out on the way
};
const char* name(FieldRole role);  // "x", "label" …

// One named part of a row: numbers, or a text.
struct Field {
  std::string name;  // "x" where the source has no names
  TensorDesc row;    // of one row, e.g. u8[28,28]; rank 0 to 4; its width is row.elems()
  FieldRole role = FieldRole::kX;
  bool is_text = false;  // then `row` says nothing
};

// Where the rows of one field go.
struct FieldRows {
  size_t field = 0;                   // of Dataset::fields()
  std::span<std::byte> bytes = {};    // of numbers: exactly the rows', contiguous, row-major
  std::span<std::string> texts = {};  // of text: one a row
};

// Columns of a table by their names in its header, or their numbers from 0 (column_reference.h);
// empty: none.
struct ColumnNames {
  std::string label = {};
  std::string id = {};
  std::string drop = {};  // neither seen nor kept: several with commas between them

  bool operator==(const ColumnNames&) const = default;
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
  // The first field, whose role is x; every data set has it, and no other of that role.
  const Field& x() const { return fields_.front(); }
  // The index of the first field with a role; nothing where there is none.
  std::optional<size_t> find(FieldRole role) const;
  // A stream gives its rows once, in order, to one thread.
  bool is_stream() const { return is_stream_; }
  // Whether rows are images: u8 or u16 of two axes or more, in whatever file or memory they come.
  // By type and shape, never by values; decides the default scaling and nothing else.
  bool holds_images() const;
  // What tells this content from another (File::identity); empty for a stream.
  const std::string& identity() const { return identity_; }
  // Of the numbers of x, where the source names its columns; else none.
  const std::vector<std::string>& feature_names() const { return feature_names_; }
  // What the columns were taken for, where that was chosen: tells apart what is read of one source.
  const std::string& layout() const { return layout_; }
  // Of a table, those that are no features: by name where its header tells them apart.
  const ColumnNames& columns() const { return columns_; }
  // What was taken from OpenOptions::usual, for a message; or empty.
  const std::string& as_usual() const { return as_usual_; }

  // Reads count rows from first_row of the wanted fields, each once, at once: a stream gives a row
  // once. Numbers: of the field's dtype, in this machine's byte order. Returns the rows read: fewer
  // than count at a stream's end only. Throws Error{kData} for files that are damaged or cannot be
  // read; those before its position are there. Rows beyond rows(), streams out of order: bugs.
  uint64_t read(uint64_t first_row, uint64_t count, std::span<const FieldRows> wanted) const;
  // Of one field of numbers.
  uint64_t read(size_t field, uint64_t first_row, uint64_t count,
                std::span<std::byte> destination) const;

  // "row 7, column 3" of the numbers of x, for messages; as the source counts and names them.
  virtual std::string place_text(uint64_t row, uint64_t feature) const;

  // Whether a few rows are read as cheaply as many, and by several threads: not columns, not
  // a stream.
  bool gives_parts() const { return gives_parts_; }

  // "u8[60000,28,28]", or "u8[*,28,28]" where the number of rows is unknown.
  std::string text() const;

 protected:
  Dataset(std::string name, std::vector<Field> fields, std::optional<uint64_t> rows);

  // As read, with the arguments checked.
  virtual uint64_t read_rows(uint64_t first_row, uint64_t count,
                             std::span<const FieldRows> wanted) const = 0;

  bool is_stream_ = false;
  bool gives_parts_ = false;
  std::string identity_;
  std::string layout_, as_usual_;
  ColumnNames columns_;
  std::vector<std::string> feature_names_;

 private:
  std::string name_;
  std::vector<Field> fields_;
  std::optional<uint64_t> rows_;
};

enum class HeaderLine { kYes, kNo };
enum class Separator { kComma, kSemicolon, kTab };

// How a table of text is read. Every other column is a part of x.
struct TableReading {
  ColumnNames columns = {};
  std::optional<HeaderLine> header = {};    // nothing: found
  std::optional<Separator> separator = {};  // nothing: found

  bool operator==(const TableReading&) const = default;
};

// What a file is taken for where its options say nothing: how the one that a model was trained on
// was read. Formats that know better pass it over.
struct UsualReading {
  std::string format = {};                 // of content that is not recognised; empty: none
  std::optional<TensorDesc> row = {};      // of raw files; of tables, how many columns are features
  std::optional<DType> dtype = {};         // of tables, where it was chosen
  TableReading table = {};                 // what the table lacks is passed over
  std::vector<std::string> features = {};  // in a header that has all of them, `row` is none
  bool has_ids_first = false;              // nor then the first column: as we write results
};

struct OpenOptions {
  // Empty: found from the file's first bytes and its name. Else one of format_names().
  std::string format = {};
  // Raw files: type and shape of one row (28,28, not 60000,28,28). Other formats: if given, they
  // must agree with the file.
  std::optional<DType> dtype = {};
  std::vector<int64_t> row_shape = {};
  // For formats that are no tables: an error if given. Columns that a table lacks are one, but for
  // "none", which stands against a usual one.
  TableReading table = {};
  UsualReading usual = {};
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

// The same for a table: its fields, x first, and the rows of each, all as many.
struct MemoryField {
  Field field;
  std::span<const std::byte> bytes = {};    // of numbers
  std::span<const std::string> texts = {};  // of text
};
std::unique_ptr<Dataset> memory_table(std::string name, const std::vector<MemoryField>& fields);

// Rows of that shape that are yet to be made: nobody reads them.
std::unique_ptr<Dataset> rows_to_make(uint64_t rows, const TensorDesc& row);

// All formats that can be read, in the order in which they are tried: "npy", "csv" and so on.
std::vector<std::string> format_names();
// What their files are called, for help: ".npy, … or raw".
std::string format_files();

}  // namespace diabolo
