#include "data/coarse_rows.h"

#include <cmath>

namespace diabolo {
namespace {

constexpr double kCoarse = 0.1;

// Digits of a float type, the leading one among them; 0 for integers.
int digits_of(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return 11;
    case DType::kF32:
      return 24;
    case DType::kF64:
      return 53;
    default:
      return 0;
  }
}

double shift_of(const Scaling& scaling, size_t i) {
  if (!scaling.wide.shift.empty()) return scaling.wide.shift[i];
  return static_cast<double>(scaling.shift[i]);
}
double scale_of(const Scaling& scaling, size_t i) {
  if (!scaling.wide.scale.empty()) return scaling.wide.scale[i];
  return static_cast<double>(scaling.scale[i]);
}

// From one number of the type to the next near `value`, which is not 0.
double step_near(double value, DType dtype) {
  return std::ldexp(1.0, std::ilogb(value) - (digits_of(dtype) - 1));
}

}  // namespace

std::optional<size_t> coarse_feature(const Scaling& scaling, DType dtype) {
  if (digits_of(dtype) == 0) return std::nullopt;
  for (size_t i = 0; i < scaling.shift.size(); ++i) {
    const double shift = shift_of(scaling, i);
    if (shift != 0.0 && step_near(shift, dtype) * scale_of(scaling, i) > kCoarse) return i;
  }
  return std::nullopt;
}

void warn_of_coarse_rows(const Dataset& data, const Scaling& scaling, const Log& log) {
  if (scaling.rounds_first) return;  // said of the model
  const DType dtype = data.x().row.dtype();
  const auto feature = coarse_feature(scaling, dtype);
  if (!feature) return;
  const double shift = shift_of(scaling, *feature);
  log.warning(data.name(), ": feature ", *feature, " lies near ", shift, ", where ", name(dtype),
              " has steps of ", step_near(shift, dtype), ", wider than a tenth of its spread (",
              1 / scale_of(scaling, *feature), "): smaller differences are not in these rows; ",
              dtype == DType::kF64 ? "subtract an offset before they are made f64"
                                   : "give them as f64, or less an offset");
}

void warn_of_rounded_model(const std::string& model, const Scaling& scaling, const Log& log) {
  if (!scaling.rounds_first) return;
  const auto feature = coarse_feature(scaling, DType::kF32);
  if (!feature) return;
  log.warning(model, ": was trained by a version that rounded its rows to f32, in steps of ",
              step_near(shift_of(scaling, *feature), DType::kF32), " for feature ", *feature,
              " near ", shift_of(scaling, *feature), "; train it anew to see smaller differences");
}

}  // namespace diabolo
