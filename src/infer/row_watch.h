// What is wrong with the rows of one call, found by the threads that share it: the first bad row in
// the order of the rows, whichever thread came upon it first; or, where rows are left out, a state
// for each of them. The rule is in docs/guide.md, "Numbers that are not finite".
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"
#include "data/transform.h"
#include "infer/call_watch.h"

namespace diabolo {

enum class RowState : uint8_t {
  kGood = 0,
  kBadInput = 1,   // left out for a bad value; its results are NaN
  kBadResult = 2,  // left out, as one of its results is not finite; all of them are NaN
};

// How a call treats its rows.
struct RowRules {
  BadValue on_bad_value = BadValue::kError;
  BlockPlace place = {"rows", 0};   // of the first row, for messages
  std::span<RowState> states = {};  // [rows]; kSkip needs it
  DType result_type = DType::kF32;  // that results are stored in: f32, f16 or bf16
  CallProgress progress = {};
};

// Each function is called by several threads at once, for rows of their own.
class RowWatch {
 public:
  RowWatch(const RowRules& rules, uint64_t rows);

  // Raw rows from number `first` of the call as scaled floats in out, every row in its place; what:
  // "target", of other rows than those whose places the source knows.
  void convert(const Scaling& scaling, DType dtype, std::span<const std::byte> raw, uint64_t first,
               std::span<float> out, const char* what = nullptr);
  // The same of numbers that are no data: labels, weights. They stay as they are, and no policy
  // has a number to put in the place of one that is not finite.
  void take(const char* what, uint64_t width, DType dtype, std::span<const std::byte> raw,
            uint64_t first, std::span<float> out);
  // Looks at results of whole rows, `width` numbers each; what: "codes", for messages. One that the
  // result type cannot hold is a failure under every policy: another type mends it.
  void check_results(const char* what, uint64_t first, uint64_t width, std::span<float> results);
  // The same of one number that is known to be bad.
  void check_result(const char* what, uint64_t row, uint64_t column, float value);
  bool is_left_out(uint64_t row) const {
    return !rules_.states.empty() && rules_.states[row] != RowState::kGood;
  }
  // That the rows from `row` on cannot be had, or that it is bad; the first row's failure counts.
  void fail(uint64_t row, const Error& error);
  void fail_number(const char* what, uint64_t row, uint64_t column, const std::string& found,
                   const std::string& expected);
  // The results of rows that were left out become NaN.
  void blank(uint64_t first, uint64_t width, std::span<float> results) const;

  // Nothing that is still to be done changes what finish throws.
  bool is_over() const { return failed_row_.load(std::memory_order_relaxed) != kNone; }
  // Call when all threads are done. Throws Error{kData} about the first bad row, if there is one.
  void finish() const;

 private:
  static constexpr uint64_t kNone = ~uint64_t{0};

  bool skips() const { return rules_.on_bad_value == BadValue::kSkip; }
  void mark_bad_inputs(std::span<const uint64_t> kept, uint64_t first, std::span<float> rows,
                       uint64_t width);
  void check_row(const char* what, uint64_t row, std::span<const float> values);

  RowRules rules_;
  uint32_t limit_bits_;
  std::atomic<uint64_t> failed_row_{kNone};
  std::mutex mutex_;
  std::optional<Error> failure_;  // of failed_row_
};

}  // namespace diabolo
