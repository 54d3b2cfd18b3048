// Cells of CSV as they are written: numbers in the fewest digits that give them back, text in
// quotes where it needs them.
#pragma once

#include <charconv>
#include <string>
#include <string_view>

namespace diabolo {

template <class Number>
void append_csv_number(std::string& text, Number value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  text.append(buffer, end);
}

// What stands for itself: without separators, quotes, line ends and spaces around it.
inline bool is_plain_csv(std::string_view cell) {
  if (cell.empty()) return true;
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  return cell.find_first_of(",;\t\"\r\n") == std::string_view::npos && !is_space(cell.front()) &&
         !is_space(cell.back());
}

inline void append_csv_text(std::string& text, std::string_view cell) {
  if (is_plain_csv(cell)) {
    text += cell;
    return;
  }
  text += '"';
  for (const char c : cell) {
    if (c == '"') text += c;
    text += c;
  }
  text += '"';
}

}  // namespace diabolo
