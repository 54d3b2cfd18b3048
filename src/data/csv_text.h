// CSV text taken apart: records out of bytes, cells out of records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace diabolo {

// Where a record begins: byte and line of the file.
struct CsvPlace {
  uint64_t offset = 0;
  uint64_t line = 1;
};

// Records one after another: lines, but for line breaks between quotes.
class CsvRecords {
 public:
  // Fills the span from the front as far as the text goes; 0 at its end.
  using Pull = std::function<size_t(std::span<char>)>;

  // A longer record is refused: it is a quote that nobody closed.
  static constexpr size_t kMaxBytes = size_t{64} << 20;

  // pull gives the text from `start` on. If `keeps`, all of it stays until forget().
  CsvRecords(std::string name, Pull pull, CsvPlace start, size_t buffer_bytes, bool keeps = false);

  // The next record without its line end, valid until the next call; nothing at the end. Throws
  // Error{kData} for a quote that is not closed.
  std::optional<std::string_view> next();
  // Where the record that next() gave begins.
  const CsvPlace& place() const { return place_; }
  // Where the one after it does.
  CsvPlace here() const { return {base_ + at_, line_}; }

  // Lines without a character but spaces are records, as they are in a table of one column, not
  // passed over.
  void take_empty_lines() { takes_empty_ = true; }
  // Goes on from a place that was seen before and is kept.
  void restart(const CsvPlace& place);
  // Keeps no more than it needs.
  void forget() { keeps_ = false; }

 private:
  size_t find_end();
  bool refill();
  void skip_mark();

  std::string name_;
  Pull pull_;
  std::vector<char> buffer_;
  size_t at_ = 0, size_ = 0;  // what is left: [at_, size_)
  uint64_t base_;             // of the buffer in the file
  uint64_t line_;
  CsvPlace place_;
  bool keeps_;
  bool is_over_ = false;
  bool takes_empty_ = false;
  bool has_quotes_ = false;  // the record that was found last
  uint64_t stray_line_ = 0;  // of the first quote that opens within a cell; 0: there is none
};

// The cells of one record.
class CsvCells {
 public:
  CsvCells(std::string_view record, char separator)
      : rest_(record),
        separator_(separator),
        has_quotes_(record.find('"') != std::string_view::npos) {}

  // False after the last. Without the quotes around it, two of them within being one, or without
  // the spaces around it; valid until the next call.
  bool next(std::string_view& cell) {
    if (is_over_) return false;
    if (has_quotes_) return next_quoted(cell);
    take(rest_.find(separator_), cell);
    cell = trimmed(cell);
    return true;
  }
  // What is wrong with the quotes of what was given so far; null: nothing.
  const char* trouble() const { return trouble_; }

 private:
  static std::string_view trimmed(std::string_view cell) {
    const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
    while (!cell.empty() && is_space(cell.front())) cell.remove_prefix(1);
    while (!cell.empty() && is_space(cell.back())) cell.remove_suffix(1);
    return cell;
  }
  void take(size_t end, std::string_view& cell) {
    cell = rest_.substr(0, end);
    is_over_ = end == std::string_view::npos;
    if (!is_over_) rest_.remove_prefix(end + 1);
  }
  bool next_quoted(std::string_view& cell);

  std::string_view rest_;
  char separator_;
  bool has_quotes_;
  bool is_over_ = false;
  const char* trouble_ = nullptr;
  std::string text_;  // of a cell with quotes within
};

// All cells of a record. Throws Error{kData} where its quotes are wrong, and where there are more
// than `most`, before they take memory.
std::vector<std::string> csv_cells(const std::string& name, uint64_t line, std::string_view record,
                                   char separator, size_t most);

// A text of the file in quotes, for a message: one line, and no longer than one reads.
std::string shown(std::string_view text);

}  // namespace diabolo
