#include "capi/handles.h"

namespace diabolo::capi {

namespace {

InferenceOptions options_of(const Context& context) {
  InferenceOptions options;
  options.precision = context.precision;
  options.fast_policy = context.fast_policy;
  return options;
}

template <class Object>
std::shared_ptr<Object> find_handle(HandleTable<Object>& table, const void* handle,
                                    const char* what) {
  if (!handle) throw Error(ErrorCode::kUsage, cat(what, ": expected a handle, found null"));
  std::shared_ptr<Object> object = table.find(handle);
  if (!object)
    throw Error(ErrorCode::kUsage,
                cat(what, ": this address is no handle of a ", what, " (destroyed already?)"));
  return object;
}

}  // namespace

Model::Model(std::shared_ptr<const Context> context_in, ModelFile file_in)
    : context(std::move(context_in)),
      file(std::move(file_in)),
      inference(*context->backend, file, options_of(*context)) {}

HandleTable<Context>& contexts() {
  static HandleTable<Context>* const table = std::make_unique<HandleTable<Context>>().release();
  return *table;
}

HandleTable<Model>& models() {
  static HandleTable<Model>* const table = std::make_unique<HandleTable<Model>>().release();
  return *table;
}

std::shared_ptr<Context> find_context(const diabolo_context* handle) {
  return find_handle(contexts(), handle, "context");
}

std::shared_ptr<Model> find_model(const diabolo_model* handle) {
  return find_handle(models(), handle, "model");
}

diabolo_context* new_handle(std::shared_ptr<Context> context) {
  return static_cast<diabolo_context*>(const_cast<void*>(contexts().add(std::move(context))));
}

diabolo_model* new_handle(std::shared_ptr<Model> model) {
  return static_cast<diabolo_model*>(const_cast<void*>(models().add(std::move(model))));
}

}  // namespace diabolo::capi
