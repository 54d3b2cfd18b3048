#include "capi/input_file.h"

#include <string>
#include <utility>

#include "capi/arguments.h"
#include "jobs/open.h"

namespace diabolo::capi {

namespace {

// More are refused by every format.
constexpr uint64_t kMostExtent = uint64_t{1} << 32;

void set(const GivenInput& given, const GivenInput::Text& one, Config& config) {
  if (!one.text) return;
  try {
    set_config(config, one.key, std::string(one.text));
  } catch (const Error& error) {
    throw Error(error.code(), cat(given.name, ".", one.field, ": ", error.what()));
  }
}

OpenOptions open_options_of(const GivenInput& given) {
  Config config;
  for (const GivenInput::Text& one : given.texts) set(given, one, config);
  OpenOptions open = open_options(config.data);
  if (given.dtype) open.dtype = dtype_of(cat(given.name, ".input_dtype").c_str(), given.dtype);
  if (given.rank > DIABOLO_MAX_ROW_RANK)
    throw Error(ErrorCode::kUsage, cat(given.name, ".input_rank: expected at most ",
                                       DIABOLO_MAX_ROW_RANK, ", found ", given.rank));
  for (uint32_t i = 0; i < given.rank; ++i) {
    const uint64_t extent = given.shape[i];
    if (extent < 1 || extent > kMostExtent)
      throw Error(ErrorCode::kUsage, cat(given.name, ".input_shape: ", extent, " is no extent"));
    open.row_shape.push_back(static_cast<int64_t>(extent));
  }
  return open;
}

}  // namespace

const char* GivenInput::first_set() const {
  for (const Text& one : texts)
    if (one.text) return one.field;
  if (dtype) return "input_dtype";
  return rank ? "input_rank" : nullptr;
}

std::unique_ptr<Dataset> open_input(const char* argument, const char* path, const GivenInput& given,
                                    const ModelFile& model, const TensorDesc& usual, RowsAre rows) {
  const std::string name = required_path(argument, path);
  OpenOptions open = open_options_of(given);
  open.usual = usual_reading(model, usual, rows);
  return open_dataset(name, open);
}

}  // namespace diabolo::capi
