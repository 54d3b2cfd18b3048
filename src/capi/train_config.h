// The configuration of a training from the options of the C interface.
#pragma once

#include "capi/handles.h"
#include "diabolo/diabolo.h"
#include "model/config.h"

namespace diabolo::capi {

// Preset, then the file (where a training is resumed and neither is given: the one in its folder),
// then the settings, then the numbers in the options; device, threads, precision and policy are the
// context's. Throws Error{kUsage}.
Config train_config(const Context& context, const diabolo_train_options& options);

}  // namespace diabolo::capi
