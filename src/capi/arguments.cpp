#include "capi/arguments.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
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

constexpr uint32_t kExponent = 0x7f800000;

// No branch in the loop, so that it is vectorised.
bool are_finite(std::span<const float> values) {
  uint32_t bad = 0;
  for (const float value : values)
    bad |= static_cast<uint32_t>((std::bit_cast<uint32_t>(value) & kExponent) == kExponent);
  return bad == 0;
}

[[noreturn]] void fail_value(const char* name, std::span<const float> values, uint64_t first,
                             uint64_t width) {
  const auto bad = std::ranges::find_if(values, [](float v) { return !std::isfinite(v); });
  const uint64_t at = first + static_cast<uint64_t>(bad - values.begin());
  throw Error(ErrorCode::kData,
              cat(name, ": row ", at / width, ", column ", at % width, " is ",
                  std::isnan(*bad) ? "NaN" : "infinite or beyond f32", "; mend or drop that row"));
}

// The values as floats; a double that f32 cannot hold is as finite as another, being centred first.
void finite_or_not(DType dtype, std::span<const std::byte> raw, std::span<float> out) {
  if (dtype != DType::kF64) return to_f32(dtype, raw, out);
  for (size_t i = 0; i < out.size(); ++i) {
    double value;
    std::memcpy(&value, raw.data() + i * sizeof value, sizeof value);
    out[i] = std::isfinite(value) ? 0.0f : static_cast<float>(value);
  }
}

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

void check_choice(const char* name, int32_t value, int32_t first, int32_t count) {
  if (value < first || value - first >= count)
    throw Error(ErrorCode::kUsage, cat(name, ": expected a number from ", first, " to ",
                                       first + count - 1, ", found ", value));
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

void check_finite(const char* name, DType dtype, std::span<const std::byte> bytes, uint64_t width) {
  if (!is_float(dtype)) return;
  constexpr size_t kBlock = 512;
  std::array<float, kBlock> block;
  const uint64_t size = size_bytes(dtype);
  const uint64_t elems = bytes.size() / size;
  for (uint64_t first = 0; first < elems; first += kBlock) {
    const uint64_t count = std::min<uint64_t>(kBlock, elems - first);
    const std::span<float> values = std::span(block).first(count);
    finite_or_not(dtype, bytes.subspan(first * size, count * size), values);
    if (!are_finite(values)) fail_value(name, values, first, width);
  }
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
template std::span<uint16_t> output_of(const char*, uint16_t*, uint64_t, uint64_t, uint64_t);
template std::span<uint32_t> output_of(const char*, uint32_t*, uint64_t, uint64_t, uint64_t);

}  // namespace diabolo::capi
