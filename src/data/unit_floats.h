// Numbers of another range than the bytes that a model was trained on: floats that were divided by
// 255 already, images of 16 bits.
#pragma once

#include "base/log.h"
#include "base/tensor.h"
#include "data/dataset.h"
#include "data/transform.h"

namespace diabolo {

// Warns, in one line, where the model's rows are u8 or u16 that use their range (for most features
// a step of 1 is less than 1/16 in scaled units) while the floats of the first MiB of `data` lie
// within [0,1] and are not all 0. A stream, which would be used up, is not looked at.
// The same of scale unit where the numbers are of another depth: u8 for a model of u16, and any
// type whose numbers go beyond the model's.
void warn_of_unit_floats(const Dataset& data, const TensorDesc& model_row, const Scaling& scaling,
                         const Log& log);

}  // namespace diabolo
