// Floats that were divided by 255 already, on their way to a model of bytes.
#pragma once

#include "base/log.h"
#include "base/tensor.h"
#include "data/dataset.h"
#include "data/transform.h"

namespace diabolo {

// Warns, in one line, where the model's rows are u8 or u16 that use their range (for most features
// a step of 1 is less than 1/16 in scaled units) while the floats of the first MiB of `data` lie
// within [0,1] and are not all 0. A stream, which would be used up, is not looked at.
void warn_of_unit_floats(const Dataset& data, const TensorDesc& model_row, const Scaling& scaling,
                         const Log& log);

}  // namespace diabolo
