// diabolo_model_*.
#include <algorithm>
#include <limits>
#include <mutex>

#include "base/checked.h"
#include "capi/arguments.h"
#include "capi/handles.h"
#include "capi/status.h"
#include "data/coarse_rows.h"

namespace diabolo::capi {

namespace {

diabolo_model_info describe(const Model& model) {
  diabolo_model_info info{};
  const ModelFile& file = model.file;
  const std::span<const int64_t> shape = file.row.extents();
  info.features = static_cast<uint64_t>(model.inference.features());
  info.code_size = static_cast<uint64_t>(model.inference.code_size());
  std::ranges::copy(shape, info.row_shape);
  info.row_rank = static_cast<uint32_t>(shape.size());
  info.row_dtype = dtype_number(file.row.dtype());
  info.parameters = file.network().parameter_count();
  info.training_rows = file.provenance.rows;
  info.epochs = file.provenance.epochs;
  info.device_bytes = model.inference.bytes();
  info.threshold = file.threshold.value_or(std::numeric_limits<double>::quiet_NaN());
  info.threshold_quantile = file.threshold ? file.threshold_quantile : 0;
  info.feature_names = file.texts.feature_names.size();
  info.metadata_count = file.texts.metadata.size();
  info.seed = file.provenance.seed;
  info.threshold_rows = file.threshold ? file.threshold_rows : 0;
  info.threshold_validation = file.threshold_from == ThresholdFrom::kValidation;
  return info;
}

LoadOptions load_of(const diabolo_load_options& options) {
  LoadOptions load;
  load.allow_unverified = options.allow_unverified != 0;
  return load;
}

template <class Byte, class Address>
std::span<Byte> bytes_at(const char* name, Address* data, uint64_t bytes) {
  if (bytes == 0) return {};
  if (!data) fail_null(name);
  if (!checked_cast<int64_t>(bytes))
    throw Error(ErrorCode::kUsage, cat(name, ": ", bytes, " bytes are more than any memory holds"));
  return {static_cast<Byte*>(data), bytes};
}

void save_memory(const Model& model, void* data, uint64_t room, uint64_t& bytes) {
  bytes = model_file_bytes(model.file);
  if (room == 0) return;
  const auto out = bytes_at<std::byte>("data", data, room);
  if (room < bytes)
    throw Error(ErrorCode::kUsage, cat("data: expected room for ", bytes, " bytes, found ", room));
  save_model_bytes(model.file, out.first(bytes));
}

}  // namespace

}  // namespace diabolo::capi

using namespace diabolo::capi;

diabolo_status diabolo_model_load(const diabolo_context* context, const char* path,
                                  const diabolo_load_options* options, diabolo_model** model) {
  return guarded(__func__, [&] {
    required("model", model) = nullptr;
    const auto found = find_context(context);
    const diabolo_load_options given = options_or_defaults("load options", options);
    const std::string name = required_path("path", path);
    auto loaded = diabolo::load_model(name, load_of(given));
    diabolo::warn_of_rounded_model(name, loaded.scaling, found->log);
    *model = new_handle(
        std::make_shared<Model>(found, std::move(loaded), absolute(diabolo::model_path(name))));
  });
}

diabolo_status diabolo_model_load_memory(const diabolo_context* context, const void* data,
                                         uint64_t bytes, const diabolo_load_options* options,
                                         diabolo_model** model) {
  return guarded(__func__, [&] {
    required("model", model) = nullptr;
    const auto found = find_context(context);
    const diabolo_load_options given = options_or_defaults("load options", options);
    const auto content = bytes_at<const std::byte>("data", data, bytes);
    auto loaded = diabolo::load_model_bytes(content, "data", load_of(given));
    diabolo::warn_of_rounded_model("data", loaded.scaling, found->log);
    *model = new_handle(std::make_shared<Model>(found, std::move(loaded)));
  });
}

diabolo_status diabolo_model_save(const diabolo_model* model, const char* path) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    const std::string name = required_path("path", path);
    const std::lock_guard lock(found->saving);
    diabolo::write_model(found->file, name);
    found->saved_to = absolute(name);
  });
}

diabolo_status diabolo_model_save_memory(const diabolo_model* model, void* data,
                                         uint64_t room_bytes, uint64_t* bytes) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    save_memory(*found, data, room_bytes, required("bytes", bytes));
  });
}

diabolo_status diabolo_model_inspect(const diabolo_model* model, diabolo_model_info* info) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    give_result("info", describe(*found), &required("info", info));
  });
}

diabolo_status diabolo_model_destroy(diabolo_model* model) {
  return guarded(__func__, [&] { destroy_handle(model); });
}
