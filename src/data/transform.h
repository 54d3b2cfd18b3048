// From the numbers of a file to the floats that a model sees: scaled = (value - shift) * scale, per
// feature, in f32 for the types that f32 holds, in double for wider ones (data/wide.h): 1e9 + noise
// has its noise in digits that f32 drops. The model file stores shift and scale.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/error.h"
#include "data/dataset.h"

namespace diabolo {

enum class Scale {
  kUnit,      // divided by the integer type's maximum
  kStandard,  // mean 0, deviation 1 over the training rows; deviation 1 where it is 0
  kMinmax,    // training minimum to 0, maximum to 1; range 1 where it is 0
  kNone,
};
const char* name(Scale scale);  // "unit", "standard", "minmax", "none"
std::optional<Scale> scale_from_name(std::string_view text);

// What to do with NaN, infinity and numbers whose scaled value f32 cannot hold.
enum class BadValue {
  kError,
  kZero,  // becomes 0 before scaling
  kMean,  // becomes the training mean of its feature
  kSkip,  // the row is left out
};
const char* name(BadValue policy);  // "error", "zero", "mean", "skip"

// unit for images (Dataset::holds_images), standard for everything else: never decided by looking
// at values.
Scale default_scale(const Dataset& data);

// Whether unit scale brings the type's numbers to [0,1]: unsigned integers.
bool has_unit_range(DType dtype);

// Throws Error{kUsage} for unit scale of a type without that range: half of a signed type's numbers
// would be out of a sigmoid's reach.
void require_scale(const Dataset& data, Scale kind);

// Each vector has one entry per feature (row.elems()).
struct Scaling {
  Scale kind = Scale::kNone;
  std::vector<float> shift = {};
  std::vector<float> scale = {};
  std::vector<float> mean =
      {};  // before scaling; for kMean. Empty if no pass over the data was made.

  // The same to all digits, where fitted on rows of a wide type; serves rows of such types. Empty
  // (shift is): the floats above are exact.
  struct Wide {
    std::vector<double> shift = {};
    std::vector<double> rest = {};  // what shift lacks, at most half its last digit
    std::vector<double> scale = {};
    std::vector<double> mean = {};
  };
  Wide wide = {};

  // Rows of wide types are rounded to f32 before they are scaled: what the version did that fitted
  // this on such rows, and so what the model has learnt from.
  bool rounds_first = false;
};

// The same with `wide` filled, from the floats if it was empty; as it is where rows are rounded
// first.
Scaling with_wide(const Scaling& scaling);

// Computes a scaling in one pass over field x, in double (Welford). `unit` and `none` make a pass
// only where the policy is kMean. Throws Error{kUsage} for unit of a float type, Error{kData} for a
// stream that a pass is needed over, for bad values under kError, for no rows. Rows of the file
// that are true in left_out (null: none) are read, but neither counted nor looked at.
Scaling fit_scaling(const Dataset& data, Scale kind, BadValue policy,
                    const std::vector<bool>* left_out = nullptr);

// Where a block of rows comes from, for messages.
struct BlockPlace {
  std::string_view name;  // of the data set
  uint64_t first_row = 0;
  const char* option = "--on-bad-value";  // that chooses what to do with bad values
  const Dataset* source = nullptr;        // where there is one, it says how its places are called

  static BlockPlace of(const Dataset& data, uint64_t first_row) {
    return {.name = data.name(), .first_row = first_row, .source = &data};
  }
  // The block that begins `rows` later.
  BlockPlace at(uint64_t rows) const { return {name, first_row + rows, option, source}; }
  // "data.npy: row 18231, column 7", of a row of the block.
  std::string text(uint64_t row, uint64_t column) const;
};

// Converts a block of raw rows (dtype, row-major, scaling.shift.size() features each) to floats in
// out, of the same number of elements. Returns the rows kept; under kSkip the kept ones are packed
// at the front and, where kept is given, their indices within the block are appended to it. Throws
// Error{kData} "data.npy: row 18231, column 7 is NaN (use --on-bad-value skip|zero|mean)"; rows
// and columns count from 0. Finite input gives finite output or that error.
uint64_t convert_rows(const Scaling& scaling, BadValue policy, const BlockPlace& place, DType dtype,
                      std::span<const std::byte> raw, std::span<float> out,
                      std::vector<uint64_t>* kept = nullptr);

// Throws the error that convert_rows throws for a bad value in row place.first_row +
// row.
[[noreturn]] void fail_bad_value(const BlockPlace& place, uint64_t row, uint64_t column,
                                 float value);

// The error for a result that is not finite though its row was: its numbers are too large for what
// the model computes in f32. what: "codes".
Error bad_result(const BlockPlace& place, const char* what, uint64_t row, uint64_t column,
                 float value);

// Scaled values of raw rows, bad ones as NaN or infinity; whether all are good. One with_wide
// costs nothing more.
bool scale_rows(const Scaling& scaling, DType dtype, std::span<const std::byte> raw,
                std::span<float> out);

// The inverse, one row at a time in place: value = scaled / scale + shift, in double where the
// scaling is wide; the result is f32, whose steps near 1e9 are 64. rows: a multiple of the
// features.
void unscale_rows(const Scaling& scaling, std::span<float> rows);

// Numbers of any type as f32, rounded to nearest.
void to_f32(DType dtype, std::span<const std::byte> raw, std::span<float> out);

}  // namespace diabolo
