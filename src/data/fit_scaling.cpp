// Statistics of the training rows, in one pass.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "data/fit.h"
#include "data/numbers.h"
#include "data/wide.h"

namespace diabolo {
namespace {

// Per feature, in double; Welford's recurrence (Technometrics 4(3), 1962), which loses no digits to
// a large mean.
struct Statistics {
  explicit Statistics(size_t width)
      : count(width, 0.0),
        mean(width, 0.0),
        squares(width, 0.0),
        least(width, std::numeric_limits<double>::infinity()),
        most(width, -std::numeric_limits<double>::infinity()) {}

  void add(std::span<const float> row) {
    add_values(row.data(), row.size(), count.data(), mean.data(), squares.data());
    add_range(row.data(), row.size(), least.data(), most.data());
  }
  // kMean leaves the places of bad values out.
  void add_finite(std::span<const float> row) {
    for (size_t i = 0; i < row.size(); ++i)
      if (std::isfinite(row[i])) add_one(row[i], i);
  }

  std::vector<double> count, mean, squares, least, most;

 private:
  // Without aliases and branches the loops are vectorised.
  void add_one(float value, size_t i) {
    add_values(&value, 1, &count[i], &mean[i], &squares[i]);
    add_range(&value, 1, &least[i], &most[i]);
  }
  static void add_values(const float* __restrict row, size_t width, double* __restrict counts,
                         double* __restrict means, double* __restrict sums) {
    for (size_t i = 0; i < width; ++i) {
      const double value = row[i];
      counts[i] += 1.0;
      const double delta = value - means[i];
      means[i] += delta / counts[i];
      sums[i] += delta * (value - means[i]);
    }
  }
  static void add_range(const float* __restrict row, size_t width, double* __restrict low,
                        double* __restrict high) {
    for (size_t i = 0; i < width; ++i) {
      const double value = row[i];
      low[i] = value < low[i] ? value : low[i];
      high[i] = value > high[i] ? value : high[i];
    }
  }
};

// Signed types only for models begun before require_scale refused them.
double unit_maximum(const Dataset& data) {
  const DType dtype = data.x().row.dtype();
  switch (dtype) {
    case DType::kBool:
      return 1.0;
    case DType::kU8:
      return UINT8_MAX;
    case DType::kI8:
      return INT8_MAX;
    case DType::kU16:
      return UINT16_MAX;
    case DType::kI16:
      return INT16_MAX;
    case DType::kU32:
      return UINT32_MAX;
    case DType::kI32:
      return INT32_MAX;
    case DType::kU64:
      return static_cast<double>(UINT64_MAX);
    case DType::kI64:
      return static_cast<double>(INT64_MAX);
    default:
      throw Error(ErrorCode::kUsage, cat(data.name(), ": has ", data.text(),
                                         "; scale unit needs an unsigned integer type; use "
                                         "--scale standard, minmax or none"));
  }
}

void add_row(std::span<float> row, uint64_t index, BadValue policy, const BlockPlace& place,
             Statistics& statistics) {
  if (all_finite(row)) return statistics.add(row);
  if (policy == BadValue::kSkip) return;
  if (policy == BadValue::kMean) return statistics.add_finite(row);
  const auto bad = std::ranges::find_if(row, [](float value) { return !std::isfinite(value); });
  if (policy == BadValue::kError)
    fail_bad_value(place, index, static_cast<uint64_t>(bad - row.begin()), *bad);
  for (float& value : row)
    if (!std::isfinite(value)) value = 0.0f;
  statistics.add(row);
}

Statistics pass_over(const Dataset& data, BadValue policy, const std::vector<bool>* left_out) {
  const auto width = static_cast<size_t>(data.x().row.elems());
  Statistics statistics(width);
  std::vector<float> values(width);
  for_each_raw_row(data, left_out, [&](const BlockPlace& place, uint64_t index, auto raw) {
    to_f32(data.x().row.dtype(), raw, values);
    add_row(values, index, policy, place, statistics);
  });
  require_values(data, statistics.count);
  return statistics;
}

}  // namespace

void require_passes(const Dataset& data) {
  if (!data.is_stream() && data.rows()) return;
  const bool is_packed = data.name().ends_with(".gz");
  throw Error(ErrorCode::kData,
              cat(data.name(),
                  is_packed ? ": is compressed, and a table is not read twice so; unpack"
                            : ": is a stream, which cannot be read twice; write",
                  is_packed ? " it first" : " it to a file", ", or use --scale none or unit"));
}

void require_values(const Dataset& data, std::span<const double> counts) {
  if (std::ranges::all_of(counts, [](double count) { return count == 0.0; }))
    throw Error(ErrorCode::kData,
                cat(data.name(), ": has no usable row to compute a scaling from"));
}

Scaling fit_scaling(const Dataset& data, Scale kind, BadValue policy,
                    const std::vector<bool>* left_out) {
  DIABOLO_CHECK(!left_out || left_out->size() == data.rows(), "a mask of other rows");
  const auto width = static_cast<size_t>(data.x().row.elems());
  Scaling scaling{kind, std::vector(width, 0.0f), std::vector(width, 1.0f), {}};
  if (kind == Scale::kUnit)
    std::ranges::fill(scaling.scale, static_cast<float>(1.0 / unit_maximum(data)));
  const bool needs_pass =
      kind == Scale::kStandard || kind == Scale::kMinmax || policy == BadValue::kMean;
  if (!needs_pass) return scaling;
  if (is_wide(data.x().row.dtype())) {
    fit_wide(data, policy, left_out, scaling);
    return scaling;
  }
  const Statistics statistics = pass_over(data, policy, left_out);
  scaling.mean.resize(width);
  for (size_t i = 0; i < width; ++i) {
    scaling.mean[i] = static_cast<float>(statistics.mean[i]);
    if (statistics.count[i] == 0.0) continue;  // all of the feature's values are bad
    if (kind == Scale::kStandard) {
      scaling.shift[i] = scaling.mean[i];
      scaling.scale[i] = inverse<float>(std::sqrt(statistics.squares[i] / statistics.count[i]));
    } else if (kind == Scale::kMinmax) {
      scaling.shift[i] = static_cast<float>(statistics.least[i]);
      scaling.scale[i] = inverse<float>(statistics.most[i] - statistics.least[i]);
    }
  }
  return scaling;
}

}  // namespace diabolo
