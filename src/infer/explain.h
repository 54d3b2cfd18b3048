// Why a row has its score: its worst features, what the model expected there, and by how much and
// in which direction the value differs.
#pragma once

#include <span>

#include "infer/inference.h"

namespace diabolo {

// Beside the scores' index and error, [rows, worst] each; empty: not wanted. In the units of the
// data, of the value as the model took it (an imputed one, where it was bad).
struct Differences {
  std::span<double> difference = {};  // value - expected
  std::span<double> expected = {};    // the reconstruction
};

// Scores rows, out.worst features each, and goes through them once more for what the differences
// need. Bits and failures are those of Inference::score and, for the differences, of reconstruct: a
// reconstruction that is not finite is Error{kData}, or a row that is left out.
void explain(const Inference& inference, const RawRows& in, const Scores& out,
             const Differences& differences, const RowRules& rules);

}  // namespace diabolo
