#include "data/csv_text.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace diabolo {
namespace {

constexpr std::string_view kMark = "\xef\xbb\xbf";  // UTF-8's, that some programs begin files with

// Index of the first `wanted` in [from, to); `to` if there is none.
size_t find(const std::vector<char>& text, char wanted, size_t from, size_t to) {
  const void* found = from < to ? std::memchr(text.data() + from, wanted, to - from) : nullptr;
  return found ? static_cast<size_t>(static_cast<const char*>(found) - text.data()) : to;
}

// Whether a quote behind this character stands in a cell that does not begin with one. Behind
// another one, it is one of two that are text.
bool is_within_cell(char before) {
  return std::string_view(",;\t \"\r\n").find(before) == std::string_view::npos;
}

}  // namespace

CsvRecords::CsvRecords(std::string name, Pull pull, CsvPlace start, size_t buffer_bytes, bool keeps)
    : name_(std::move(name)),
      pull_(std::move(pull)),
      buffer_(std::max<size_t>(buffer_bytes, 16)),
      base_(start.offset),
      line_(start.line),
      keeps_(keeps) {}

// More text behind what there is. False at the end.
bool CsvRecords::refill() {
  if (is_over_) return false;
  if (!keeps_ && at_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + at_, size_ - at_);
    base_ += at_;
    size_ -= std::exchange(at_, 0);
  }
  if (size_ - at_ > kMaxBytes)
    throw Error(ErrorCode::kData,
                cat(name_, ": line ", line_, ": no end of this row within ", kMaxBytes,
                    " bytes; is a quote not closed, are line ends CR alone, or is this no CSV?"));
  if (size_ == buffer_.size()) buffer_.resize(2 * buffer_.size());
  const size_t added = pull_(std::span(buffer_).subspan(size_));
  size_ += added;
  is_over_ = added == 0;
  return !is_over_;
}

void CsvRecords::skip_mark() {
  if (here().offset != 0) return;
  while (size_ < kMark.size() && refill()) {
  }
  if (std::string_view(buffer_.data(), size_).starts_with(kMark)) at_ = kMark.size();
}

// The index of the line end, or of the end of the text.
size_t CsvRecords::find_end() {
  size_t from = at_, line_end = at_;
  bool is_quoted = false;
  has_quotes_ = false;
  for (;;) {
    while (from < size_) {
      if (!is_quoted && line_end <= from) line_end = find(buffer_, '\n', from, size_);
      const size_t quote = find(buffer_, '"', from, is_quoted ? size_ : line_end);
      const bool is_found = quote < (is_quoted ? size_ : line_end);
      if (!is_found && !is_quoted && line_end < size_) return line_end;
      if (!is_found) break;
      has_quotes_ = true;
      is_quoted = !is_quoted;
      if (is_quoted && stray_line_ == 0 && quote > at_ && is_within_cell(buffer_[quote - 1]))
        stray_line_ = line_ + static_cast<uint64_t>(std::count(
                                  buffer_.begin() + static_cast<ptrdiff_t>(at_),
                                  buffer_.begin() + static_cast<ptrdiff_t>(quote), '\n'));
      from = quote + 1;
    }
    const size_t scanned = size_ - at_;
    if (!refill()) break;
    from = line_end = at_ + scanned;
  }
  if (is_quoted &&
      stray_line_ > 0)  // from there on, what is within quotes is taken for what is not
    throw Error(
        ErrorCode::kData,
        cat(name_, ": line ", stray_line_, ": a quote in a cell that does not begin with one, ",
            "or text behind one that closes, so that no row's end is found any more"));
  if (is_quoted)
    throw Error(ErrorCode::kData, cat(name_, ": line ", line_,
                                      ": a quote of this row is not closed; the file is cut off, "
                                      "or a quote too much"));
  return size_;
}

std::optional<std::string_view> CsvRecords::next() {
  skip_mark();
  for (;;) {
    place_ = here();
    const size_t end = find_end();
    std::string_view record(buffer_.data() + at_, end - at_);
    if (end == size_ && record.empty()) return std::nullopt;
    at_ = std::min(end + 1, size_);
    line_ += 1 + (has_quotes_ ? static_cast<uint64_t>(std::ranges::count(record, '\n')) : 0);
    if (record.ends_with('\r')) record.remove_suffix(1);
    if (takes_empty_ || record.find_first_not_of(' ') != std::string_view::npos) return record;
  }
}

void CsvRecords::restart(const CsvPlace& place) {
  DIABOLO_CHECK(place.offset >= base_ && place.offset - base_ <= size_, place.offset);
  at_ = place.offset - base_;
  line_ = place.line;
}

bool CsvCells::next_quoted(std::string_view& cell) {
  const size_t begin = rest_.find_first_not_of(" \t");
  if (begin == std::string_view::npos || rest_[begin] != '"') {
    take(rest_.find(separator_), cell);
    if (cell.find('"') != std::string_view::npos)
      trouble_ =
          "a quote in a cell that does not begin with one; such a cell is written \"…\", "
          "with two quotes for each within";
    cell = trimmed(cell);
    return true;
  }
  rest_.remove_prefix(begin + 1);
  text_.clear();
  for (;;) {
    const size_t quote = rest_.find('"');
    text_ += rest_.substr(0, quote);
    if (quote == std::string_view::npos) {
      trouble_ = "a quote that is not closed";
      is_over_ = true;
      break;
    }
    rest_.remove_prefix(quote + 1);
    if (!rest_.starts_with('"')) break;
    text_ += '"';
    rest_.remove_prefix(1);
  }
  std::string_view behind;
  if (!is_over_) take(rest_.find(separator_), behind);
  if (!trimmed(behind).empty()) trouble_ = "text behind a closing quote";
  cell = text_;
  return true;
}

std::vector<std::string> csv_cells(const std::string& name, uint64_t line, std::string_view record,
                                   char separator, size_t most) {
  std::vector<std::string> out;
  CsvCells cells(record, separator);
  for (std::string_view cell; cells.next(cell);) {
    if (out.size() == most)
      throw Error(ErrorCode::kData, cat(name, ": line ", line, ": has more than ", most,
                                        " columns, which is the most that are accepted"));
    out.emplace_back(cell);
  }
  if (cells.trouble())
    throw Error(ErrorCode::kData, cat(name, ": line ", line, ": ", cells.trouble()));
  return out;
}

std::string shown(std::string_view text) {
  constexpr size_t kMost = 40;
  size_t length = std::min(text.size(), kMost);
  const auto is_inside = [&](size_t i) {  // of a character of several bytes
    return (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80;
  };
  while (length < text.size() && length + 4 > kMost && is_inside(length)) --length;
  std::string out(text.substr(0, length));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return cat("'", out, length < text.size() ? "...'" : "'");
}

}  // namespace diabolo
