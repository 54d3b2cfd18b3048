// Training data in host memory, checked and ready for the gather op.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "data/dataset.h"
#include "data/transform.h"
#include "model/config.h"
#include "model/model.h"

namespace diabolo {

// Rows as they lie in memory: bytes that the device scales (u8), or floats that are scaled already.
struct TrainRows {
  DType dtype = DType::kF32;  // kU8 or kF32
  int64_t features = 0;
  uint64_t rows = 0;
  uint64_t rows_read = 0;  // of the file, skipped ones and those set aside among them
  std::vector<std::byte> bytes;

  Source source() const { return dtype == DType::kU8 ? Source::kRawU8 : Source::kScaled; }
  uint64_t row_bytes() const { return static_cast<uint64_t>(features) * size_bytes(dtype); }
  const std::byte* row(uint64_t index) const { return bytes.data() + index * row_bytes(); }
};

// The first row of the file whose sum of squares f32 cannot hold, so that no loss of it is finite
// unless the model rebuilds it; nothing where there is none, or rows are no longer known by number.
std::optional<uint64_t> first_extreme_row(const TrainRows& rows);

struct TrainData {
  Scaling scaling;
  TrainRows train;
  std::optional<TrainRows> validation;
  std::string hash;  // of all rows and the scaling: tells one training's data from another's
};

// Warns that the loss of these rows in an epoch is not finite, and of what follows. It counts as
// infinite: never the best.
void warn_of_infinite_validation(const TrainRows& rows, const std::string& name, int64_t epoch,
                                 const Log& log);

// Reads everything. config must be resolved for `data`. A fraction in config.train.validation takes
// that share of the rows, chosen by the seed; the scaling is fitted on the others. Throws
// Error{kData}; Error{kResource} naming both sizes where the rows do not fit in memory.
TrainData load_train_data(const Config& config, const Dataset& data, const Dataset* validation,
                          const Log& log);

// The fraction that config.train.validation asks for; nothing where it is empty or names a file.
// Throws Error{kUsage} for a number outside (0,1).
std::optional<double> validation_fraction(const Config& config);

// Of so many rows those that it takes, at least one; 0 where no fraction is asked for.
uint64_t held_out_rows(const Config& config, uint64_t rows);

// Bytes; or floats, which are scaled on the way in.
inline Source source_of(const Dataset& data) {
  return data.x().row.dtype() == DType::kU8 ? Source::kRawU8 : Source::kScaled;
}

// Bytes that the rows of a data set take in memory.
uint64_t train_rows_bytes(const Dataset& data);

}  // namespace diabolo
