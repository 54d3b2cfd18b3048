// From what a configuration says to what it names: the device, the data files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "data/dataset.h"
#include "model/config.h"
#include "model/model_file.h"

namespace diabolo {

struct OpenedDevice {
  std::unique_ptr<Backend> backend;
  std::string line;                // "device: cpu (AMD EPYC, 2 threads)" and, for auto, why
  std::string note;                // fewer threads than asked for, in a line; or empty
  bool leaves_gpu_unused = false;  // auto took the CPU beside a GPU that it could not use
};

// "auto", "cpu", "cuda" or "cuda:N"; threads, 0 for all, are the CPU's, and at most as many as the
// process may run on. Throws Error{kUsage} for other text, Error{kDevice} where an explicit cuda
// cannot be had.
OpenedDevice open_device(const std::string& device, uint64_t threads);

// Throws Error{kUsage} if the device cannot compute in that precision.
void check_precision(const DeviceInfo& device, Precision precision);

// How data files of a configuration are opened. Throws Error{kUsage}.
OpenOptions open_options(const DataConfig& config);

// How files are usually read that go through a model; `row` is one of theirs. Of codes it is how
// encode writes them, with the training's ids.
enum class RowsAre { kData, kCodes };
UsualReading usual_reading(const ModelFile& model, const TensorDesc& row,
                           RowsAre rows = RowsAre::kData);
// The same beside data that a model is trained on.
UsualReading usual_reading(const DataConfig& trained_on, const Dataset& data);

// What the features are called: in the training's table, else in results.
std::vector<std::string> feature_names(const ModelFile& model);

}  // namespace diabolo
