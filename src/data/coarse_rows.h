// Rows whose type is too coarse for what the model is to see in them: f32 near 1e9 moves in steps
// of 64, and where features vary by 1, every row is the same.
#pragma once

#include <cstddef>
#include <optional>

#include "base/dtype.h"
#include "base/log.h"
#include "data/dataset.h"
#include "data/transform.h"

namespace diabolo {

// The first feature near whose shift one step of the type is more than a tenth in scaled units;
// nothing for integers, which lose nothing.
std::optional<size_t> coarse_feature(const Scaling& scaling, DType dtype);

// Warns of such rows, in one line.
void warn_of_coarse_rows(const Dataset& data, const Scaling& scaling, const Log& log);

// Warns, in one line, of a model whose training rows were rounded to f32 (Scaling::rounds_first)
// where that was too coarse. model: its name.
void warn_of_rounded_model(const std::string& model, const Scaling& scaling, const Log& log);

}  // namespace diabolo
