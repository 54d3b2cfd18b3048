#include "data/transform.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "data/numbers.h"

namespace diabolo {
namespace {

constexpr std::array kScaleNames = {"unit", "standard", "minmax", "none"};
constexpr std::array kBadValueNames = {"error", "zero", "mean", "skip"};

// Without aliases the loop is vectorised.
void scale_values(float* __restrict values, const float* __restrict shift,
                  const float* __restrict scale, size_t count) {
  for (size_t i = 0; i < count; ++i) values[i] = (values[i] - shift[i]) * scale[i];
}

// Scaled values of one row. False, with the column, at the first bad one unless the policy mends
// it.
struct RowScaler {
  const Scaling& scaling;
  BadValue policy;

  float mended(size_t column) const {
    return policy == BadValue::kMean ? scaling.mean[column] : 0.0f;
  }
  float scaled(float value, size_t column) const {
    return (value - scaling.shift[column]) * scaling.scale[column];
  }
  // Slow path, for a row with a bad value. False if it stays bad.
  bool mend(std::span<float> row, size_t& column) const {
    for (column = 0; column < row.size(); ++column) {
      if (std::isfinite(row[column])) continue;
      if (policy == BadValue::kError || policy == BadValue::kSkip) return false;
      row[column] = mended(column);
    }
    return true;
  }
  // A finite value may leave f32's range while it is scaled: that is as bad.
  bool scale(std::span<float> row, size_t& column) const {
    const size_t width = row.size();
    scale_values(row.data(), scaling.shift.data(), scaling.scale.data(), width);
    if (all_finite(row)) return true;
    for (column = 0; column < width; ++column) {
      if (std::isfinite(row[column])) continue;
      if (policy == BadValue::kError || policy == BadValue::kSkip) return false;
      row[column] = scaled(mended(column), column);
      if (!std::isfinite(row[column])) return false;
    }
    return true;
  }
};

}  // namespace

const char* name(Scale scale) {
  return kScaleNames.at(static_cast<size_t>(scale));
}
std::optional<Scale> scale_from_name(std::string_view text) {
  const auto found = std::ranges::find(kScaleNames, text);
  if (found == kScaleNames.end()) return std::nullopt;
  return static_cast<Scale>(found - kScaleNames.begin());
}
const char* name(BadValue policy) {
  return kBadValueNames.at(static_cast<size_t>(policy));
}

Scale default_scale(const Dataset& data) {
  return data.holds_images() && !is_float(data.x().row.dtype()) ? Scale::kUnit : Scale::kStandard;
}

void fail_bad_value(const BlockPlace& place, uint64_t row, uint64_t column, float value) {
  throw Error(ErrorCode::kData,
              cat(place.name, ": row ", place.first_row + row, ", column ", column,
                  std::isnan(value) ? " is NaN" : " is infinite or too large for f32",
                  " (use --on-bad-value skip|zero|mean)"));
}

uint64_t convert_rows(const Scaling& scaling, BadValue policy, const BlockPlace& place, DType dtype,
                      std::span<const std::byte> raw, std::span<float> out,
                      std::vector<uint64_t>* kept) {
  const size_t width = scaling.shift.size();
  DIABOLO_CHECK(width > 0 && scaling.scale.size() == width && out.size() % width == 0, width,
                " of ", out.size());
  DIABOLO_CHECK(policy != BadValue::kMean || scaling.mean.size() == width, "no means");
  DIABOLO_CHECK(raw.size() == out.size() * size_bytes(dtype), raw.size(), " bytes");
  const RowScaler scaler{scaling, policy};
  const uint64_t row_bytes = width * size_bytes(dtype);
  uint64_t rows_kept = 0;
  for (uint64_t row = 0; row < out.size() / width; ++row) {
    const auto to = out.subspan(rows_kept * width, width);
    to_f32(dtype, raw.subspan(row * row_bytes, row_bytes), to);
    size_t column = 0;
    bool is_good = all_finite(to) || scaler.mend(to, column);
    is_good = is_good && scaler.scale(to, column);
    if (!is_good && policy != BadValue::kSkip) fail_bad_value(place, row, column, to[column]);
    if (!is_good) continue;
    if (kept) kept->push_back(row);
    ++rows_kept;
  }
  return rows_kept;
}

void unscale_rows(const Scaling& scaling, std::span<float> rows) {
  const size_t width = scaling.shift.size();
  DIABOLO_CHECK(width > 0 && rows.size() % width == 0, rows.size());
  for (size_t start = 0; start < rows.size(); start += width) {
    for (size_t i = 0; i < width; ++i)
      rows[start + i] = rows[start + i] / scaling.scale[i] + scaling.shift[i];
  }
}

void to_f32(DType dtype, std::span<const std::byte> raw, std::span<float> out) {
  DIABOLO_CHECK(raw.size() == out.size() * size_bytes(dtype), raw.size(), " bytes");
  visit_dtype(dtype, [&]<class Reader>(Reader) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = element<Reader>(raw.data(), i);
  });
}

}  // namespace diabolo
