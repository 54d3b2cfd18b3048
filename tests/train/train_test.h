// What tests of a training share: running it on a plane of 300 rows, 12 features.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "train/training_fixture.h"

namespace diabolo {

class TrainTest : public testing::Test {
 protected:
  TrainResult run(const Config& config, const Dataset& data, const TrainOptions& options = {},
                  const Dataset* validation = nullptr, const TrainCallbacks& callbacks = {}) {
    return train(*backend_, config, data, validation, options, callbacks);
  }
  Error error_of(const Config& config, const Dataset& data, const TrainOptions& options = {},
                 const Dataset* validation = nullptr) {
    try {
      run(config, data, options, validation);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "no error";
    return Error(ErrorCode::kOk, "");
  }

  std::unique_ptr<Backend> backend_ = create_host_backend(2);
  FloatData data_{planar_rows(300, 12, 1), 12};
};

}  // namespace diabolo
