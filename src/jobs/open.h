// From what a configuration says to what it names: the device, the data files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "backend/backend.h"
#include "data/dataset.h"
#include "model/config.h"

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

// The same for a file that goes through a model: the columns of the table that it was trained on
// have the roles that they had there, where `options` names none. Of a table of
// codes, as encode writes it, the ids alone have.
enum class RowsAre { kData, kCodes };
OpenOptions with_columns_of(const DataConfig& trained_on, OpenOptions options,
                            RowsAre rows = RowsAre::kData);

// A raw file does not say what its rows are: where the options leave that open and format or,
// without one, name say raw, they are taken to be `row`. Other formats know.
OpenOptions with_raw_row(OpenOptions options, const std::string& path, const TensorDesc& row);

}  // namespace diabolo
