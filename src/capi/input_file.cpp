#include "capi/input_file.h"

#include <string>
#include <utility>

#include "capi/arguments.h"
#include "jobs/open.h"

namespace diabolo::capi {

namespace {

// More are refused by every format.
constexpr uint64_t kMostExtent = uint64_t{1} << 32;

// As the configuration has such a choice.
void choose(const GivenInput& given, const char* field, const char* key, const char* text,
            Config& config) {
  if (!text) return;
  try {
    set_config(config, key, std::string(text));
  } catch (const Error& error) {
    throw Error(error.code(), cat(given.name, ".", field, ": ", error.what()));
  }
}

OpenOptions open_options_of(const GivenInput& given) {
  OpenOptions open;
  if (given.format) open.format = given.format;
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
  const auto text = [](const char* column) { return column ? std::string(column) : ""; };
  open.table.columns = {text(given.label_column), text(given.id_column), text(given.drop_columns)};
  Config config;
  choose(given, "input_header", "data.header", given.header, config);
  choose(given, "input_separator", "data.separator", given.separator, config);
  open.table.header = config.data.header;
  open.table.separator = config.data.separator;
  return open;
}

}  // namespace

const char* GivenInput::first_set() const {
  if (format) return "input_format";
  if (dtype) return "input_dtype";
  if (rank) return "input_rank";
  if (label_column) return "input_label_column";
  if (id_column) return "input_id_column";
  if (drop_columns) return "input_drop_columns";
  if (header) return "input_header";
  return separator ? "input_separator" : nullptr;
}

std::unique_ptr<Dataset> open_input(const char* argument, const char* path, const GivenInput& given,
                                    const ModelFile& model, const TensorDesc& usual, RowsAre rows) {
  const std::string name = required_path(argument, path);
  const OpenOptions open = with_columns_of(model.config.data, open_options_of(given), rows);
  return open_dataset(name, with_raw_row(open, name, usual));
}

}  // namespace diabolo::capi
