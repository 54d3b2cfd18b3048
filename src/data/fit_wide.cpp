// Statistics of training rows of wide types (data/wide.h).
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "data/fit.h"
#include "data/wide.h"

namespace diabolo {
namespace {

template <class T>
bool is_bad(T value) {
  if constexpr (std::is_floating_point_v<T>) return !std::isfinite(value);
  return false;
}

// Per feature. Welford's recurrence, as for narrow types, on the distance from the feature's first
// value: integers of 2^60 that differ by 1 are told apart, and means move by less than a step of
// double at 2^60.
template <class T>
struct WideStatistics {
  explicit WideStatistics(size_t width)
      : count(width, 0.0),
        mean(width, 0.0),
        squares(width, 0.0),
        origin(width),
        least(width),
        most(width) {}

  void add(T value, size_t i) {
    if (count[i] == 0.0) origin[i] = least[i] = most[i] = value;
    count[i] += 1.0;
    const double distance = difference(value, origin[i]);
    const double delta = distance - mean[i];
    mean[i] += delta / count[i];
    squares[i] += delta * (distance - mean[i]);
    least[i] = std::min(least[i], value);
    most[i] = std::max(most[i], value);
  }

  std::vector<double> count, mean, squares;  // mean and squares from origin
  std::vector<T> origin, least, most;
};

// One row, by the policy; row is changed.
template <class T>
void add_row(std::span<T> row, uint64_t index, BadValue policy, const BlockPlace& place,
             WideStatistics<T>& statistics) {
  const auto bad = std::ranges::find_if(row, is_bad<T>);
  if (bad != row.end() && policy == BadValue::kSkip) return;
  if (bad != row.end() && policy == BadValue::kError)
    fail_bad_value(place, index, static_cast<uint64_t>(bad - row.begin()),
                   static_cast<float>(*bad));
  for (size_t i = 0; i < row.size(); ++i) {
    if (is_bad(row[i]) && policy == BadValue::kMean) continue;
    statistics.add(is_bad(row[i]) ? T{} : row[i], i);
  }
}

template <class T>
WideStatistics<T> statistics_of(const Dataset& data, BadValue policy,
                                const std::vector<bool>* left_out) {
  const auto width = static_cast<size_t>(data.x().row.elems());
  WideStatistics<T> statistics(width);
  std::vector<T> row(width);
  for_each_raw_row(data, left_out, [&](const BlockPlace& place, uint64_t index, auto raw) {
    std::memcpy(row.data(), raw.data(), raw.size());
    add_row<T>(row, index, policy, place, statistics);
  });
  require_values(data, statistics.count);
  return statistics;
}

// Where the sum of squares leaves double, half the range stands for the deviation.
template <class T>
double spread_of(const WideStatistics<T>& statistics, bool is_standard, size_t i) {
  const double range = difference(statistics.most[i], statistics.least[i]);
  const double deviation = std::sqrt(statistics.squares[i] / statistics.count[i]);
  if (!is_standard) return range;
  return std::isfinite(deviation) ? deviation : range / 2;
}

// As rows of narrow types and of a device read it: f32 that is finite and not 0.
float nearest_float(double value) {
  constexpr double kMost = std::numeric_limits<float>::max();
  return static_cast<float>(std::clamp(value, -kMost, kMost));
}
float nearest_scale(double value) {
  return std::max(nearest_float(value), std::numeric_limits<float>::min());
}

TwoDoubles finite(const TwoDoubles& value) {
  return std::isfinite(value.high) && std::isfinite(value.low) ? value : TwoDoubles{};
}

template <class T>
void fill(const WideStatistics<T>& statistics, Scaling& scaling) {
  const size_t width = scaling.shift.size();
  scaling.wide = {std::vector(width, 0.0), std::vector(width, 0.0), std::vector(width, 1.0),
                  std::vector(width, 0.0)};
  scaling.mean.assign(width, 0.0f);
  for (size_t i = 0; i < width; ++i) {
    if (statistics.count[i] == 0.0) continue;  // all of the feature's values are bad
    const TwoDoubles mean = finite(two_doubles(statistics.origin[i], statistics.mean[i]));
    const TwoDoubles least = two_doubles(statistics.least[i], 0.0);
    const bool is_standard = scaling.kind == Scale::kStandard;
    const TwoDoubles& shift = is_standard ? mean : least;
    scaling.wide.shift[i] = shift.high;
    scaling.wide.rest[i] = shift.low;
    scaling.wide.scale[i] = inverse<double>(spread_of(statistics, is_standard, i));
    scaling.wide.mean[i] = mean.high;
    scaling.shift[i] = nearest_float(shift.high);
    scaling.scale[i] = nearest_scale(scaling.wide.scale[i]);
    scaling.mean[i] = nearest_float(mean.high);
  }
}

// For a scale that does not come from the rows only the means do.
template <class T>
void fill_means(const WideStatistics<T>& statistics, Scaling& scaling) {
  scaling.mean.assign(scaling.shift.size(), 0.0f);
  for (size_t i = 0; i < scaling.mean.size(); ++i)
    scaling.mean[i] =
        nearest_float(finite(two_doubles(statistics.origin[i], statistics.mean[i])).high);
}

}  // namespace

void fit_wide(const Dataset& data, BadValue policy, const std::vector<bool>* left_out,
              Scaling& scaling) {
  visit_wide(data.x().row.dtype(), [&]<class T>(T) {
    const WideStatistics<T> statistics = statistics_of<T>(data, policy, left_out);
    const bool is_fitted = scaling.kind == Scale::kStandard || scaling.kind == Scale::kMinmax;
    is_fitted ? fill(statistics, scaling) : fill_means(statistics, scaling);
  });
}

}  // namespace diabolo
