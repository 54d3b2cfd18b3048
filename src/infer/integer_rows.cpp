#include "infer/integer_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "data/numbers.h"

namespace diabolo {
namespace {

// The number if it is whole, from what one element of a type holds.
template <class Reader>
std::optional<int64_t> whole(typename Reader::Stored stored) {
  using Stored = typename Reader::Stored;
  if constexpr (std::is_same_v<Reader, Plain<Stored>> && std::is_integral_v<Stored>) {
    if (!std::in_range<int64_t>(stored)) return std::nullopt;
    return static_cast<int64_t>(stored);
  } else {
    constexpr double kMost = 9007199254740992;  // 2^53
    const double value = std::is_same_v<Stored, double>
                             ? static_cast<double>(stored)
                             : static_cast<double>(Reader::value(stored));
    const bool is_whole = std::abs(value) <= kMost && value == std::floor(value);
    return is_whole ? std::optional(static_cast<int64_t>(value)) : std::nullopt;
  }
}

template <class Reader>
std::string text_of(typename Reader::Stored stored) {
  if constexpr (std::is_integral_v<typename Reader::Stored> &&
                std::is_same_v<Reader, Plain<typename Reader::Stored>>)
    return std::to_string(stored);
  else
    return cat(Reader::value(stored));
}

// Where the first number is that does not fit, and what was expected there.
template <class To, class Reader>
void convert(const IntegerRows& rows, std::span<const std::byte> raw, uint64_t first, void* out,
             RowWatch& watch) {
  using Stored = typename Reader::Stored;
  const auto most = static_cast<int64_t>(
      rows.values > 0 ? rows.values - 1
                      : std::min<uint64_t>(std::numeric_limits<To>::max(), INT64_MAX));
  const int64_t least = rows.values > 0 || std::is_unsigned_v<To>
                            ? 0
                            : static_cast<int64_t>(std::numeric_limits<To>::min());
  const size_t count = raw.size() / sizeof(Stored);
  for (size_t i = 0; i < count; ++i) {
    Stored stored;
    std::memcpy(&stored, raw.data() + i * sizeof stored, sizeof stored);
    const std::optional<int64_t> value = whole<Reader>(stored);
    const bool fits = value && *value >= least && *value <= most;
    const To to = fits ? static_cast<To>(*value) : To(0);
    std::memcpy(static_cast<std::byte*>(out) + i * sizeof to, &to, sizeof to);
    if (!fits)
      watch.fail_number(rows.what, first + i / rows.width, i % rows.width, text_of<Reader>(stored),
                        cat("an integer from ", least, " to ", most));
  }
}

template <class Number>
void check_results(const IntegerRows& rows, std::span<std::byte> raw, uint64_t first,
                   RowWatch& watch) {
  const std::span numbers(reinterpret_cast<Number*>(raw.data()), raw.size() / sizeof(Number));
  const auto is_no_code = [&](Number number) { return number >= rows.values; };
  for (uint64_t row = 0; row < numbers.size() / rows.width; ++row) {
    const auto code = numbers.subspan(row * rows.width, rows.width);
    const auto bad = std::ranges::find_if(code, is_no_code);
    if (bad != code.end())
      watch.check_result(rows.what, first + row, static_cast<uint64_t>(bad - code.begin()),
                         std::numeric_limits<float>::quiet_NaN());
    if (watch.is_left_out(first + row)) std::ranges::fill(code, std::numeric_limits<Number>::max());
  }
}

}  // namespace

void check_integer_results(const IntegerRows& rows, std::span<std::byte> raw, uint64_t first,
                           RowWatch& watch) {
  visit_dtype(rows.type, [&](auto to) {
    using Number = typename decltype(to)::Stored;
    if constexpr (std::is_unsigned_v<Number>) check_results<Number>(rows, raw, first, watch);
  });
}

void convert_integers(const IntegerRows& rows, DType dtype, std::span<const std::byte> raw,
                      uint64_t first, void* out, RowWatch& watch) {
  visit_dtype(rows.type, [&](auto to) {
    using To = typename decltype(to)::Stored;
    if constexpr (std::is_integral_v<To>)
      visit_dtype(
          dtype, [&](auto reader) { convert<To, decltype(reader)>(rows, raw, first, out, watch); });
  });
}

}  // namespace diabolo
