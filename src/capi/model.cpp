// diabolo_model_*.
#include <algorithm>
#include <limits>
#include <mutex>

#include "capi/arguments.h"
#include "capi/handles.h"
#include "capi/status.h"

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
  return info;
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
    diabolo::LoadOptions load;
    load.allow_unverified = given.allow_unverified != 0;
    const std::string name = required_path("path", path);
    *model = new_handle(std::make_shared<Model>(found, diabolo::load_model(name, load)));
  });
}

diabolo_status diabolo_model_save(const diabolo_model* model, const char* path) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    const std::string name = required_path("path", path);
    const std::lock_guard lock(found->saving);
    diabolo::save_model(found->file, name);
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
