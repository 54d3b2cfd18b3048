#include "capi/arguments.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/checked.h"
#include "data/row_fit.h"
#include "data/rows.h"
#include "data/transform.h"

namespace diabolo::capi {

namespace {

constexpr int32_t kDTypes = DIABOLO_BOOL;

// The numbers of the C interface are those of DType, from 1 on.
static_assert(static_cast<int>(DType::kF32) + 1 == DIABOLO_F32);
static_assert(static_cast<int>(DType::kF16) + 1 == DIABOLO_F16);
static_assert(static_cast<int>(DType::kI32) + 1 == DIABOLO_I32);
static_assert(static_cast<int>(DType::kBool) + 1 == DIABOLO_BOOL);
static_assert(kMaxRank == DIABOLO_MAX_ROW_RANK + 1);

bool is_aligned(const void* data, size_t alignment) {
  return reinterpret_cast<uintptr_t>(data) % alignment == 0;
}

}  // namespace

std::string required_path(const char* name, const char* text) {
  const std::string path = &required(name, text);
  if (path.empty()) throw Error(ErrorCode::kUsage, cat(name, ": expected a path, found none"));
  if (path == "-")
    throw Error(ErrorCode::kUsage,
                cat(name, ": expected a path, found '-' (standard streams are the program's own)"));
  return path;
}

std::string absolute(const std::string& path) {
  std::error_code error;
  const auto whole = std::filesystem::absolute(path, error);
  return error ? path : whole.string();
}

void check_choice(const char* name, int32_t value, int32_t first, int32_t count) {
  if (value < first || value - first >= count)
    throw Error(ErrorCode::kUsage, cat(name, ": expected a number from ", first, " to ",
                                       first + count - 1, ", found ", value));
}

const Task& task_of(diabolo_verb verb) {
  check_choice("verb", verb, 1, static_cast<int32_t>(tasks().size()));
  const Task* task = find_task(verb);
  DIABOLO_CHECK(task, "tasks are numbered from 1 without a gap");
  return *task;
}

DType dtype_of(const char* name, diabolo_dtype dtype) {
  check_choice(name, dtype, DIABOLO_F32, kDTypes);
  return static_cast<DType>(dtype - 1);
}

diabolo_dtype dtype_number(DType dtype) {
  return static_cast<diabolo_dtype>(dtype) + 1;
}

TensorDesc row_of(const diabolo_rows& rows) {
  const DType dtype = dtype_of("rows.dtype", rows.dtype);
  check_choice("rows.rank", static_cast<int32_t>(std::min<uint32_t>(rows.rank, 1000)), 1,
               DIABOLO_MAX_ROW_RANK);
  std::array<int64_t, DIABOLO_MAX_ROW_RANK> extents{};
  for (uint32_t i = 0; i < rows.rank; ++i) {
    const auto extent = checked_cast<int64_t>(rows.shape[i]);
    if (!extent) throw Error(ErrorCode::kUsage, cat("rows.shape: ", rows.shape[i], " is too many"));
    extents[i] = *extent;
  }
  return checked_row("rows", ErrorCode::kUsage, dtype, std::span(extents).first(rows.rank));
}

TensorDesc row_of(const diabolo_rows& rows, const TensorDesc& expected) {
  const TensorDesc row = row_of(rows);
  require_rows_fit(expected, {"rows", row, rows.count}, ", which the model takes");
  return row;
}

std::unique_ptr<Dataset> dataset_of(const char* name, const diabolo_rows* rows) {
  const diabolo_rows given = required_struct(name, rows);
  return memory_dataset(name, row_of(given), bytes_of(name, given));
}

std::span<const std::byte> bytes_of(const char* name, const diabolo_rows& rows) {
  const TensorDesc row = row_of(rows);
  const auto bytes = checked_mul(rows.count, row.bytes());
  if (!bytes || !checked_cast<int64_t>(*bytes))
    throw Error(ErrorCode::kUsage, cat(name, ": ", rows.count, " rows of ", row.text(),
                                       " are more than any memory holds"));
  if (*bytes == 0) return {};
  if (!rows.data) fail_null(cat(name, ".data").c_str());
  return {static_cast<const std::byte*>(rows.data), *bytes};
}

BadValue bad_value_of(const char* name, diabolo_bad_value policy, const ModelFile& model) {
  check_choice(cat(name, ".on_bad_value").c_str(), policy, DIABOLO_BAD_VALUE_MODEL,
               DIABOLO_BAD_VALUE_SKIP + 1);
  if (policy == DIABOLO_BAD_VALUE_MODEL) return model.config.data.on_bad_value;
  constexpr std::array kPolicies = {BadValue::kError, BadValue::kZero, BadValue::kMean,
                                    BadValue::kSkip};
  return kPolicies[static_cast<size_t>(policy - DIABOLO_BAD_VALUE_ERROR)];
}

template <class Number>
std::span<Number> output_of(const char* name, Number* data, uint64_t room, uint64_t rows,
                            uint64_t width) {
  const auto wanted = checked_mul(rows, width);
  const auto bytes = wanted ? checked_mul<uint64_t>(*wanted, sizeof(Number)) : std::nullopt;
  if (!bytes || !checked_cast<int64_t>(*bytes))
    throw Error(ErrorCode::kUsage,
                cat(name, ": ", rows, " rows of ", width, " are more than any memory holds"));
  if (*wanted == 0) return {};
  if (!data) fail_null(name);  // no reference is made before the address is known to be aligned
  if (!is_aligned(data, alignof(Number)))
    throw Error(ErrorCode::kUsage,
                cat(name, ": expected an address that is a multiple of ", alignof(Number)));
  if (room < *wanted)
    throw Error(ErrorCode::kUsage,
                cat(name, ": expected room for ", *wanted, " numbers, found ", room));
  return {data, *wanted};
}

template std::span<double> output_of(const char*, double*, uint64_t, uint64_t, uint64_t);
template std::span<float> output_of(const char*, float*, uint64_t, uint64_t, uint64_t);
template std::span<const float> output_of(const char*, const float*, uint64_t, uint64_t, uint64_t);
template std::span<uint8_t> output_of(const char*, uint8_t*, uint64_t, uint64_t, uint64_t);
template std::span<const uint8_t> output_of(const char*, const uint8_t*, uint64_t, uint64_t,
                                            uint64_t);
template std::span<uint16_t> output_of(const char*, uint16_t*, uint64_t, uint64_t, uint64_t);
template std::span<uint32_t> output_of(const char*, uint32_t*, uint64_t, uint64_t, uint64_t);

}  // namespace diabolo::capi
