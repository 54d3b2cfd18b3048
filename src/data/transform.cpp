#include "data/transform.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "data/numbers.h"
#include "data/wide.h"

namespace diabolo {
namespace {

// Rows are looked at so many numbers at a time, which stay in the first cache; one by one only
// where one of them is bad.
constexpr uint64_t kGroupElems = 4096;

constexpr std::array kScaleNames = {"unit", "standard", "minmax", "none"};
constexpr std::array kBadValueNames = {"error", "zero", "mean", "skip"};

// Returns whether all results are finite. Without aliases the loops are vectorised.
template <class Reader>
bool scale_values(const std::byte* __restrict raw, const float* __restrict shift,
                  const float* __restrict scale, float* __restrict out, size_t count) {
  uint32_t found = 0;
  for (size_t i = 0; i < count; ++i) {
    out[i] = (element<Reader>(raw, i) - shift[i]) * scale[i];
    found |= is_not_finite(out[i]);
  }
  return found == 0;
}

// Rows of a few numbers are scaled several at once, so that the loops are long.
constexpr size_t kStretch = 128;
struct Stretch {
  std::array<float, kStretch> shift, scale;
  size_t count = 0;
};
void fill_stretch(const Scaling& scaling, Stretch& out) {
  const size_t width = scaling.shift.size();
  for (out.count = 0; out.count + width <= kStretch; out.count += width) {
    std::ranges::copy(scaling.shift, out.shift.begin() + static_cast<ptrdiff_t>(out.count));
    std::ranges::copy(scaling.scale, out.scale.begin() + static_cast<ptrdiff_t>(out.count));
  }
}

template <class Reader>
bool scale_in_float(const Scaling& scaling, const std::byte* raw, std::span<float> out) {
  const size_t width = scaling.shift.size();
  Stretch stretch;
  const bool is_short = 2 * width <= kStretch && 2 * width <= out.size();
  if (is_short) fill_stretch(scaling, stretch);
  const float* const shift = is_short ? stretch.shift.data() : scaling.shift.data();
  const float* const scale = is_short ? stretch.scale.data() : scaling.scale.data();
  const size_t step = is_short ? stretch.count : width;
  bool is_finite = true;
  for (size_t start = 0; start < out.size(); start += step)
    is_finite &= scale_values<Reader>(raw + start * sizeof(typename Reader::Stored), shift, scale,
                                      out.data() + start, std::min(step, out.size() - start));
  return is_finite;
}

template <class T>
bool scale_wide(const std::byte* __restrict raw, const Scaling::Wide& wide, float* __restrict out,
                size_t count) {
  const double* __restrict shift = wide.shift.data();
  const double* __restrict rest = wide.rest.data();
  const double* __restrict scale = wide.scale.data();
  uint32_t found = 0;
  for (size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, raw + i * sizeof(T), sizeof(T));
    out[i] = static_cast<float>(difference(value, shift[i], rest[i]) * scale[i]);
    found |= is_not_finite(out[i]);
  }
  return found == 0;
}

std::vector<double> widened(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

// What takes the place of a bad value in the i-th column, scaled.
float mended(const Scaling& scaling, bool in_double, BadValue policy, size_t i) {
  const bool to_mean = policy == BadValue::kMean;
  if (in_double) {
    const Scaling::Wide& wide = scaling.wide;
    const double value = to_mean ? wide.mean[i] : 0.0;
    return static_cast<float>(difference(value, wide.shift[i], wide.rest[i]) * wide.scale[i]);
  }
  return ((to_mean ? scaling.mean[i] : 0.0f) - scaling.shift[i]) * scaling.scale[i];
}

// A number that f32 holds, but not what the scale makes of it.
[[noreturn]] void fail_scaled(const Scaling& scaling, const BlockPlace& place, uint64_t row,
                              uint64_t column, float value) {
  const bool is_minmax = scaling.kind == Scale::kMinmax;
  throw Error(
      ErrorCode::kData,
      cat(place.text(row, column), " is ", value, ", which scale ", name(scaling.kind),
          " takes beyond f32",
          is_minmax ? ": the range is too wide (train with --scale standard, or use " : " (use ",
          place.option, " skip|zero|mean)"),
      DataPosition{place.first_row + row, column});
}

// Mends a scaled row that is not finite. False, with the column, where it stays bad: the policy
// mends nothing, or what it puts there is not finite once it is scaled.
bool mend(const Scaling& scaling, bool in_double, BadValue policy, std::span<float> row,
          size_t& column) {
  for (column = 0; column < row.size(); ++column) {
    if (std::isfinite(row[column])) continue;
    if (policy == BadValue::kError || policy == BadValue::kSkip) return false;
    row[column] = mended(scaling, in_double, policy, column);
    if (!std::isfinite(row[column])) return false;
  }
  return true;
}

void unscale_wide(const Scaling::Wide& wide, std::span<float> rows) {
  const size_t width = wide.shift.size();
  for (size_t start = 0; start < rows.size(); start += width)
    for (size_t i = 0; i < width; ++i)
      rows[start + i] = static_cast<float>(
          (static_cast<double>(rows[start + i]) / wide.scale[i] + wide.rest[i]) + wide.shift[i]);
}

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
  return data.holds_images() ? Scale::kUnit : Scale::kStandard;
}

bool has_unit_range(DType dtype) {
  constexpr std::array kUnsigned = {DType::kBool, DType::kU8, DType::kU16, DType::kU32,
                                    DType::kU64};
  return std::ranges::find(kUnsigned, dtype) != kUnsigned.end();
}

void require_scale(const Dataset& data, Scale kind) {
  if (kind != Scale::kUnit || has_unit_range(data.x().row.dtype())) return;
  throw Error(ErrorCode::kUsage, cat(data.name(), ": has ", data.text(),
                                     "; scale unit needs an unsigned integer type; use "
                                     "--scale standard, minmax or none"));
}

std::string BlockPlace::text(uint64_t row, uint64_t column) const {
  const uint64_t number = first_row + row;
  return cat(
      name, ": ",
      source ? source->place_text(number, column) : cat("row ", number, ", column ", column));
}

void fail_bad_value(const BlockPlace& place, uint64_t row, uint64_t column, float value) {
  throw Error(ErrorCode::kData,
              cat(place.text(row, column),
                  std::isnan(value) ? " is NaN" : " is infinite or too large for f32", " (use ",
                  place.option, " skip|zero|mean)"),
              DataPosition{place.first_row + row, column});
}

Error bad_result(const BlockPlace& place, const char* what, uint64_t row, uint64_t column,
                 float value) {
  return Error(ErrorCode::kData,
               cat(place.name, ": row ", place.first_row + row, ", column ", column, " of the ",
                   what, std::isnan(value) ? " is NaN" : " is infinite",
                   ": the row's numbers are too large for the model in f32 (mend it, or use ",
                   place.option, " skip)"),
               DataPosition{place.first_row + row, column});
}

uint64_t convert_rows(const Scaling& scaling, BadValue policy, const BlockPlace& place, DType dtype,
                      std::span<const std::byte> raw, std::span<float> out,
                      std::vector<uint64_t>* kept) {
  const size_t width = scaling.shift.size();
  DIABOLO_CHECK(width > 0 && scaling.scale.size() == width && out.size() % width == 0, width,
                " of ", out.size());
  DIABOLO_CHECK(policy != BadValue::kMean || scaling.mean.size() == width, "no means");
  DIABOLO_CHECK(raw.size() == out.size() * size_bytes(dtype), raw.size(), " bytes");
  const bool in_double = is_wide(dtype) && !scaling.rounds_first;
  std::optional<Scaling> completed;
  if (in_double && scaling.wide.shift.empty()) completed = with_wide(scaling);
  const Scaling& used = completed ? *completed : scaling;
  const uint64_t row_bytes = width * size_bytes(dtype);
  const uint64_t rows = out.size() / width;
  const uint64_t group = std::max<uint64_t>(1, kGroupElems / width);
  uint64_t rows_kept = 0;
  const auto keep = [&](uint64_t row) {
    if (kept) kept->push_back(row);
    ++rows_kept;
  };
  const auto place_of = [&](uint64_t count) {
    return out.subspan(rows_kept * width, count * width);
  };
  const auto scale = [&](uint64_t row, uint64_t count) {  // whether the results are finite
    return scale_rows(used, dtype, raw.subspan(row * row_bytes, count * row_bytes),
                      place_of(count));
  };
  const auto convert_row = [&](uint64_t row) {
    const bool is_good = scale(row, 1);
    const std::span<float> to = place_of(1);
    size_t column = 0;
    if (is_good || mend(used, in_double, policy, to, column)) return keep(row);
    if (policy == BadValue::kSkip) return;
    const uint64_t at = row * row_bytes + column * size_bytes(dtype);
    float value = 0;
    to_f32(dtype, raw.subspan(at, size_bytes(dtype)), {&value, 1});
    if (std::isfinite(value)) fail_scaled(scaling, place, row, column, value);
    fail_bad_value(place, row, column, to[column]);
  };
  for (uint64_t first = 0; first < rows; first += group) {
    const uint64_t count = std::min(group, rows - first);
    const bool is_good = scale(first, count);
    for (uint64_t row = first; row < first + count; ++row) is_good ? keep(row) : convert_row(row);
  }
  return rows_kept;
}

Scaling with_wide(const Scaling& scaling) {
  Scaling out = scaling;
  if (out.rounds_first || !out.wide.shift.empty()) return out;
  out.wide.shift = widened(scaling.shift);
  out.wide.rest.assign(scaling.shift.size(), 0.0);
  out.wide.scale = widened(scaling.scale);
  out.wide.mean = widened(scaling.mean);
  return out;
}

bool scale_rows(const Scaling& scaling, DType dtype, std::span<const std::byte> raw,
                std::span<float> out) {
  const size_t width = scaling.shift.size();
  DIABOLO_CHECK(raw.size() == out.size() * size_bytes(dtype), raw.size(), " bytes");
  bool is_finite = true;
  if (!is_wide(dtype) || scaling.rounds_first) {
    visit_dtype(dtype, [&]<class Reader>(Reader) {
      is_finite = scale_in_float<Reader>(scaling, raw.data(), out);
    });
    return is_finite;
  }
  if (scaling.wide.shift.empty()) return scale_rows(with_wide(scaling), dtype, raw, out);
  visit_wide(dtype, [&]<class T>(T) {
    for (size_t start = 0; start < out.size(); start += width)
      is_finite &=
          scale_wide<T>(raw.data() + start * sizeof(T), scaling.wide, out.data() + start, width);
  });
  return is_finite;
}

void unscale_rows(const Scaling& scaling, std::span<float> rows) {
  const size_t width = scaling.shift.size();
  DIABOLO_CHECK(width > 0 && rows.size() % width == 0, rows.size());
  if (!scaling.wide.shift.empty()) return unscale_wide(scaling.wide, rows);
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
