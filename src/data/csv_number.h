// Cells of CSV as numbers, by std::from_chars: rounded to nearest, in no locale.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace diabolo {

enum class CellKind {
  kNumber,
  kMissing,  // empty, NA, N/A, null, NULL; NaN for types that have it
  kText,
  kBeyond,  // an integer that the type does not hold
};

inline bool is_missing(std::string_view cell) {
  constexpr std::array<std::string_view, 5> kMissing = {"", "NA", "N/A", "null", "NULL"};
  return std::ranges::find(kMissing, cell) != kMissing.end();
}

// Of a number whose spelling is right, but which the type cannot hold: whether it is too large, not
// too small. Its first digit that is not 0 says so, with the exponent.
inline bool is_huge(std::string_view number) {
  const size_t mark = number.find_first_of("eE");
  const std::string_view digits = number.substr(0, mark);
  const size_t first = digits.find_first_of("123456789");
  const size_t point = std::min(digits.find('.'), digits.size());
  if (first == std::string_view::npos) return false;
  const double place = static_cast<double>(point) - static_cast<double>(first);
  if (mark == std::string_view::npos) return place > 0;
  const std::string_view exponent = number.substr(mark + 1);
  if (exponent.size() > 15) return exponent.front() != '-';
  long long value = 0;
  const bool is_signed = exponent.starts_with('+');
  std::from_chars(exponent.data() + is_signed, exponent.data() + exponent.size(), value);
  return place + static_cast<double>(value) > 0;
}

// NaN and infinity are numbers of the types that have them; so is what is too large for these, as
// infinity, as the rules on bad values then say.
template <class T>
CellKind parse_cell(std::string_view cell, T& value) {
  const bool has_plus = cell.size() > 1 && cell[0] == '+' && cell[1] != '-' && cell[1] != '+';
  const char* const end = cell.data() + cell.size();
  const auto [last, error] = std::from_chars(cell.data() + has_plus, end, value);
  if (error == std::errc() && last == end) return CellKind::kNumber;
  if constexpr (std::is_floating_point_v<T>) {
    if (is_missing(cell)) value = std::numeric_limits<T>::quiet_NaN();
    if (error == std::errc::result_out_of_range && last == end) {
      value = is_huge(cell) ? std::numeric_limits<T>::infinity() : T{0};
      if (cell[0] == '-') value = -value;
      return CellKind::kNumber;
    }
  }
  if (is_missing(cell)) return CellKind::kMissing;
  const bool is_beyond = error == std::errc::result_out_of_range && last == end;
  return is_beyond ? CellKind::kBeyond : CellKind::kText;
}

}  // namespace diabolo
