// The threshold of the anomaly score, and what labels say about it.
#pragma once

#include <cstdint>
#include <span>

namespace diabolo {

// The q-quantile by linear interpolation between order statistics (numpy's default). Throws
// Error{kUsage} for no values or q outside [0,1].
double quantile(std::span<const float> values, double q);

// The split-conformal threshold for scores of rows that the model was not trained on: the
// ceil((n+1)q)-th smallest of n, which a fresh row exceeds with a chance of at most 1 - q (Vovk et
// al., Algorithmic Learning in a Random World, 2005); the largest where n is too small for that
// (below q / (1 - q)). The same errors.
double conformal_quantile(std::span<const float> values, double q);

// Area under the ROC curve: the chance that a positive's score is above a negative's, ties half.
// labels: 0 or not 0. Throws Error{kData} where one kind is missing.
double auroc(std::span<const float> scores, std::span<const uint8_t> labels);

// Average precision: sum over thresholds of precision times the recall gained there, ties at one
// threshold (scikit-learn's average_precision_score).
double average_precision(std::span<const float> scores, std::span<const uint8_t> labels);

}  // namespace diabolo
