#include "infer/row_watch.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

#include "data/numbers.h"

namespace diabolo {

namespace {

// The bits, without the sign, of the least number that rounds to infinity in a type; halfway to
// what would be the next one goes there too.
uint32_t limit_of(DType type) {
  if (type == DType::kF16) return std::bit_cast<uint32_t>(65520.0f);
  return type == DType::kBf16 ? 0x7f7f8000u : 0x7f800000u;
}

// Without a way out, and with signs, so that the loop is vectorised well. The bits of NaN are above
// those of infinity.
bool all_below(std::span<const float> values, uint32_t limit) {
  const auto signed_limit = static_cast<int32_t>(limit);
  uint32_t found = 0;
  for (const float value : values)
    found |= (std::bit_cast<int32_t>(value) & 0x7fffffff) >= signed_limit ? 1u : 0u;
  return found == 0;
}

Error beyond_type(const BlockPlace& place, const char* what, uint64_t column, float value,
                  DType type) {
  return Error(ErrorCode::kData,
               cat(place.name, ": row ", place.first_row, ", column ", column, " of the ", what,
                   " is ", value, ", which ", name(type), " cannot hold (use f32",
                   type == DType::kF16 ? ", or bf16 in a raw file)" : ")"),
               DataPosition{place.first_row, column});
}

}  // namespace

RowWatch::RowWatch(const RowRules& rules, uint64_t rows)
    : rules_(rules), limit_bits_(limit_of(rules.result_type)) {
  if (rules.states.empty() ? skips() : rules.states.size() != rows)
    throw Error(ErrorCode::kUsage,
                cat("states of rows: expected one for each of ", rows, ", as ", rules.place.option,
                    " skip needs, found ", rules.states.size()));
  std::ranges::fill(rules_.states, RowState::kGood);
}

void RowWatch::convert(const Scaling& scaling, DType dtype, std::span<const std::byte> raw,
                       uint64_t first, std::span<float> out, const char* what) {
  const uint64_t width = scaling.shift.size();
  BlockPlace place = rules_.place.at(first);
  const std::string named = what ? cat(place.name, ": ", what) : std::string();
  if (what) place = {named, place.first_row, place.option};
  if (!skips()) {
    try {
      convert_rows(scaling, rules_.on_bad_value, place, dtype, raw, out);
    } catch (const Error& error) {
      if (!error.position()) throw;
      fail(error.position()->row - rules_.place.first_row, error);
    }
    return;
  }
  std::vector<uint64_t> kept;
  kept.reserve(out.size() / width);
  convert_rows(scaling, BadValue::kSkip, place, dtype, raw, out, &kept);
  if (kept.size() * width < out.size()) mark_bad_inputs(kept, first, out, width);
}

void RowWatch::take(const char* what, uint64_t width, DType dtype, std::span<const std::byte> raw,
                    uint64_t first, std::span<float> out) {
  to_f32(dtype, raw, out);
  if (all_finite(out)) return;
  for (uint64_t i = 0; i < out.size(); ++i) {
    if (std::isfinite(out[i])) continue;
    const uint64_t row = first + i / width;
    if (skips())
      rules_.states[row] = RowState::kBadInput;
    else
      fail_number(what, row, i % width, cat(out[i]), "a finite number");
    out[i] = 0;
  }
}

// The kept rows are packed at the front: from the last one on they go back to their places.
void RowWatch::mark_bad_inputs(std::span<const uint64_t> kept, uint64_t first,
                               std::span<float> rows, uint64_t width) {
  size_t left = kept.size();
  for (uint64_t row = rows.size() / width; row-- > 0;) {
    const auto to = rows.subspan(row * width, width);
    if (left > 0 && kept[left - 1] == row) {
      --left;
      if (left != row) std::ranges::copy(rows.subspan(left * width, width), to.begin());
    } else {
      std::ranges::fill(to, 0.0f);
      rules_.states[first + row] = RowState::kBadInput;
    }
  }
}

void RowWatch::fail_number(const char* what, uint64_t row, uint64_t column,
                           const std::string& found, const std::string& expected) {
  const uint64_t place = rules_.place.at(row).first_row;
  fail(row, Error(ErrorCode::kData,
                  cat(rules_.place.name, ": row ", place, ", column ", column, " of the ", what,
                      " is ", found, "; expected ", expected),
                  DataPosition{place, column}));
}

void RowWatch::check_results(const char* what, uint64_t first, uint64_t width,
                             std::span<float> results) {
  if (all_below(results, limit_bits_)) return;
  for (uint64_t row = 0; row < results.size() / width; ++row)
    check_row(what, first + row, results.subspan(row * width, width));
}

void RowWatch::check_row(const char* what, uint64_t row, std::span<const float> values) {
  // What was computed of a row that is left out anyway says nothing.
  if (is_left_out(row) || all_below(values, limit_bits_)) return;
  const auto column_of = [&](auto is_bad) {
    return static_cast<uint64_t>(std::ranges::find_if(values, is_bad) - values.begin());
  };
  const BlockPlace place = rules_.place.at(row);
  if (all_finite(values)) {
    const uint64_t column = column_of([&](float v) { return !all_below({&v, 1}, limit_bits_); });
    return fail(row, beyond_type(place, what, column, values[column], rules_.result_type));
  }
  const uint64_t column = column_of([](float v) { return !std::isfinite(v); });
  check_result(what, row, column, values[column]);
}

void RowWatch::check_result(const char* what, uint64_t row, uint64_t column, float value) {
  if (is_left_out(row)) return;
  if (!skips()) return fail(row, bad_result(rules_.place.at(row), what, 0, column, value));
  rules_.states[row] = RowState::kBadResult;
}

void RowWatch::blank(uint64_t first, uint64_t width, std::span<float> results) const {
  if (rules_.states.empty()) return;
  for (uint64_t row = 0; row < results.size() / width; ++row) {
    if (!is_left_out(first + row)) continue;
    std::ranges::fill(results.subspan(row * width, width), std::numeric_limits<float>::quiet_NaN());
  }
}

// Rows are handed out in order and every one that was is finished, so the first of all that are bad
// is among those reported. Of one row the input is looked at first.
void RowWatch::fail(uint64_t row, const Error& error) {
  const std::lock_guard lock(mutex_);
  if (row >= failed_row_) return;
  failed_row_ = row;
  failure_.emplace(error);
}

void RowWatch::finish() const {
  if (failure_) throw Error(*failure_);
}

}  // namespace diabolo
