// CSV and TSV files: rows of text, found again by a list of where some of them begin.
#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/csv_columns.h"
#include "data/csv_index.h"
#include "data/csv_roles.h"
#include "data/csv_rows.h"
#include "data/csv_text.h"
#include "data/format.h"
#include "data/gzip.h"

namespace diabolo {
namespace {

constexpr size_t kPassBytes = 1 << 20;
constexpr size_t kLeastBytes = 4 << 10;

// Reads a regular file from an offset on.
CsvRecords::Pull pull_from(const ByteSource& source, uint64_t offset) {
  return [&source, offset](std::span<char> to) mutable {
    const size_t some = std::min<uint64_t>(to.size(), *source.size_bytes() - offset);
    if (some == 0) return some;
    source.pread(offset, std::as_writable_bytes(to.first(some)));
    offset += some;
    return some;
  };
}

class CsvDataset : public Dataset {
 protected:
  using Dataset::Dataset;

  void describe(const CsvColumns& table) {
    layout_ = table.layout();
    feature_names_ = table.feature_names();
    columns_ = other_columns(table);
    as_usual_ = table.as_usual;
  }
};

class CsvFile final : public CsvDataset {
 public:
  struct Rows {
    CsvColumns table;
    RowIndex index;
    uint64_t count = 0;
    uint64_t end = 0;  // of the last one, in bytes
  };

  CsvFile(ByteSource source, Rows rows)
      : CsvDataset(source.name(), rows.table.fields, rows.count),
        source_(std::move(source)),
        rows_(std::move(rows)),
        parser_(name(), rows_.table) {
    gives_parts_ = true;
    identity_ = source_.file().identity();
    describe(rows_.table);
  }

  std::string place_text(uint64_t row, uint64_t feature) const override {
    uint64_t line = 0;
    each_row(row, 1, [&](const CsvRow& found) { line = found.line; });
    return cat("row ", row, " (line ", line, "), ",
               rows_.table.text(rows_.table.column_of(feature)));
  }

 private:
  template <class Use>
  void each_row(uint64_t first_row, uint64_t count, const Use& use) const {
    const RowIndex::Entry& start = rows_.index.before(first_row);
    const uint64_t rows_on = first_row + count - start.row;
    const uint64_t guess = (rows_.end / std::max<uint64_t>(1, rows_.count) + 1) * rows_on;
    CsvRecords records(name(), pull_from(source_, start.place.offset), start.place,
                       std::clamp<uint64_t>(guess, kLeastBytes, kPassBytes));
    if (rows_.table.columns.size() == 1) records.take_empty_lines();
    for (uint64_t row = start.row; row < first_row + count; ++row) {
      const auto record = records.next();
      if (!record) source_.fail(cat("has lost its row ", row, "; it was changed meanwhile"));
      if (row >= first_row) use(CsvRow{*record, row, records.place().line});
    }
  }

  uint64_t read_rows(uint64_t first_row, uint64_t count,
                     std::span<const FieldRows> wanted) const override {
    if (count == 0) return 0;
    each_row(first_row, count,
             [&](const CsvRow& row) { parser_.parse(row, row.row - first_row, wanted); });
    return count;
  }

  ByteSource source_;
  Rows rows_;
  CsvRowParser parser_;
};

// What cannot be read twice: pipes, and compressed files.
class CsvStream final : public CsvDataset {
 public:
  CsvStream(std::string name, CsvColumns table, std::unique_ptr<CsvRecords> records)
      : CsvDataset(std::move(name), table.fields, std::nullopt),
        table_(std::move(table)),
        records_(std::move(records)),
        parser_(Dataset::name(), table_) {
    is_stream_ = true;
    describe(table_);
  }

  std::string place_text(uint64_t row, uint64_t feature) const override {
    return cat("row ", row, ", ", table_.text(table_.column_of(feature)));
  }

 private:
  uint64_t read_rows(uint64_t first_row, uint64_t count,
                     std::span<const FieldRows> wanted) const override {
    DIABOLO_CHECK(first_row == next_row_, first_row, ", the stream is at ", next_row_);
    for (uint64_t i = 0; i < count; ++i) {
      const auto record = records_->next();
      if (!record) return i;
      parser_.parse({*record, next_row_, records_->place().line}, i, wanted);
      ++next_row_;
    }
    return count;
  }

  CsvColumns table_;
  std::unique_ptr<CsvRecords> records_;
  CsvRowParser parser_;
  mutable uint64_t next_row_ = 0;
};

// One pass over the file.
CsvFile::Rows find_rows(const ByteSource& source, const OpenOptions& options) {
  CsvRecords records(source.name(), pull_from(source, 0), {}, kPassBytes, true);
  CsvFile::Rows rows;
  rows.table = find_csv_columns(source.name(), records, options);
  while (records.next()) rows.index.add(rows.count++, records.place());
  rows.end = records.here().offset;
  return rows;
}

// The text of a source that gives it once.
CsvRecords::Pull pull_once(ByteSource source) {
  const auto held = std::make_shared<ByteSource>(std::move(source));
  if (!is_gzip(held->head()))
    return [held](std::span<char> to) { return held->read(std::as_writable_bytes(to)); };
  if (held->is_stream()) held->fail("is compressed; a stream has to be unpacked before");
  const auto reader = std::make_shared<GzipReader>(*held);
  return [held, reader](std::span<char> to) { return reader->read(std::as_writable_bytes(to)); };
}

bool sniff(const ByteSource& source, const OpenOptions&) {
  constexpr std::array kEnds = {".csv", ".tsv", ".csv.gz", ".tsv.gz"};
  return std::ranges::any_of(kEnds, [&](const char* end) { return source.is_called(end); });
}

std::unique_ptr<Dataset> open(ByteSource source, const OpenOptions& options) {
  if (!source.is_stream() && !is_gzip(source.head())) {
    CsvFile::Rows rows = find_rows(source, options);
    return std::make_unique<CsvFile>(std::move(source), std::move(rows));
  }
  const std::string name = source.name();
  auto records = std::make_unique<CsvRecords>(name, pull_once(std::move(source)), CsvPlace{},
                                              kPassBytes, true);
  CsvColumns table = find_csv_columns(name, *records, options);
  return std::make_unique<CsvStream>(name, std::move(table), std::move(records));
}

}  // namespace

const Format kCsvFormat = {"csv", ".csv, .tsv, .csv.gz", sniff, open, true};

}  // namespace diabolo
