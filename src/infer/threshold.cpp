#include "infer/threshold.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "infer/score.h"

namespace diabolo {
namespace {

constexpr double kNumbersPerParameter = 20;

// Rows that the split-conformal quantile needs, where any number is enough.
std::string needed_text(double q) {
  if (q >= 1) return "no number of rows is enough for";
  return cat(std::ceil(q / (1 - q) * (1 - 1e-12)), " are needed for");
}

void warn_of_few(uint64_t rows, double q, const Log& log) {
  const double n = static_cast<double>(rows);
  if (q * (n + 1) * (1 - 1e-12) <= n) return;
  log.warning("the threshold is the largest of ", rows, " validation scores (", needed_text(q),
              " quantile ", q, "): about 1 in ", rows + 1, " fresh rows will exceed it");
}

// Rows of one score are all above a threshold or none is.
void warn_of_ties(std::span<const float> scores, double threshold, double q, const Log& log) {
  const auto above = std::ranges::count_if(
      scores, [&](float score) { return static_cast<double>(score) > threshold; });
  const auto equal = std::ranges::count_if(
      scores, [&](float score) { return static_cast<double>(score) == threshold; });
  const double asked = (1 - q) * static_cast<double>(scores.size());
  if (equal < 2 || asked < 1 || 2 * static_cast<double>(above) >= asked) return;
  log.warning("the threshold ", threshold, " is the score of ", equal, " of ", scores.size(),
              " rows, and ", above, " are above it, where quantile ", q, " asks for about ",
              std::round(asked), "; a lower output.quantile flags more");
}

}  // namespace

// The most rows at once where nothing is said are more than a small data set has.
InferenceOptions threshold_options(const TrainConfig& config, uint64_t rows) {
  InferenceOptions options;
  options.fast_policy = config.fast_policy;
  options.most_rows = rows;
  return options;
}

void put_threshold(ModelFile& model, std::span<const float> scores, ThresholdFrom from, double q,
                   const Log& log) {
  constexpr double kMost = std::numeric_limits<float>::max();
  const bool is_held_out = from == ThresholdFrom::kValidation;
  const double value = is_held_out ? conformal_quantile(scores, q) : quantile(scores, q);
  model.threshold = std::min(value, kMost);
  model.threshold_quantile = q;
  model.threshold_from = from;
  model.threshold_rows = scores.size();
  if (value > kMost)
    return log.warning("the threshold would be infinite, as more than ", 1 - q, " of the ",
                       name(from),
                       " scores are; it is the largest number, and only infinite scores are above "
                       "it");
  if (is_held_out) warn_of_few(scores.size(), q, log);
  warn_of_ties(scores, *model.threshold, q, log);
}

void warn_of_training_threshold(const std::string& data, uint64_t rows, const Network& network,
                                const Log& log) {
  const double numbers = static_cast<double>(rows) * static_cast<double>(network.features);
  const auto parameters = static_cast<double>(network.parameter_count());
  if (numbers >= kNumbersPerParameter * parameters) return;
  log.warning(data, ": ", rows, " rows of ", network.features, " numbers are few for ",
              network.parameter_count(),
              " parameters: the threshold comes from training scores, and more fresh rows than "
              "asked for may exceed it; --validation 0.2 makes it from rows held out");
}

}  // namespace diabolo
