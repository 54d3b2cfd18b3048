#include "capi/handles.h"

#include <pthread.h>

#include <atomic>

namespace diabolo::capi {

namespace {

InferenceOptions options_of(const Context& context) {
  InferenceOptions options;
  options.precision = context.precision;
  options.fast_policy = context.fast_policy;
  return options;
}

[[noreturn]] void fail_no_handle(const char* what) {
  throw Error(ErrorCode::kUsage,
              cat(what, ": this address is no handle of a ", what, " (destroyed already?)"));
}

template <class Object>
std::shared_ptr<Object> find_handle(HandleTable<Object>& table, const void* handle,
                                    const char* what) {
  if (!handle) throw Error(ErrorCode::kUsage, cat(what, ": expected a handle, found null"));
  auto found = table.find(handle);
  if (!found.object) fail_no_handle(what);
  if (found.is_of_parent)
    throw Error(ErrorCode::kUsage,
                cat(what,
                    ": this handle belongs to the parent process, whose threads a child of "
                    "fork() does not have; make a new context and load the model in the "
                    "child"));
  return std::move(found.object);
}

template <class Object>
void destroy(HandleTable<Object>& table, const void* handle, const char* what) {
  if (!handle) return;
  auto found = table.take(handle);
  if (!found.object) fail_no_handle(what);
  // A destructor would wait for threads that this process does not have.
  if (found.is_of_parent)
    (void)std::make_unique<std::shared_ptr<Object>>(std::move(found.object)).release();
}

std::atomic<uint64_t> generation{0};

// Handlers are called for fork(), not for vfork() and posix_spawn(), whose child only runs another
// program.
void before_fork() {
  contexts().before_fork();
  models().before_fork();
}
void after_fork_in_parent() {
  models().after_fork_in_parent();
  contexts().after_fork_in_parent();
}
void after_fork_in_child() {
  generation.fetch_add(1);
  models().after_fork_in_child();
  contexts().after_fork_in_child();
}

[[maybe_unused]] const int kWatchesForks =
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);

}  // namespace

uint64_t fork_generation() {
  return generation.load(std::memory_order_relaxed);
}

Model::Model(std::shared_ptr<const Context> context_in, ModelFile file_in,
             std::string loaded_from_in)
    : context(std::move(context_in)),
      file(std::move(file_in)),
      shared_inference(std::make_shared<Inference>(*context->backend, file, options_of(*context))),
      inference(*shared_inference),
      loaded_from(std::move(loaded_from_in)) {}

Model::Model(const Model& like, ModelFile file_in)
    : context(like.context),
      file(std::move(file_in)),
      shared_inference(like.shared_inference),
      inference(*shared_inference),
      loaded_from(like.loaded_from),
      saved_to(like.places().back()) {}

std::vector<std::string> Model::places() const {
  const std::lock_guard lock(saving);
  return {loaded_from, saved_to};
}

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

void destroy_handle(diabolo_context* handle) {
  destroy(contexts(), handle, "context");
}

void destroy_handle(diabolo_model* handle) {
  destroy(models(), handle, "model");
}

diabolo_context* new_handle(std::shared_ptr<Context> context) {
  return static_cast<diabolo_context*>(const_cast<void*>(contexts().add(std::move(context))));
}

diabolo_model* new_handle(std::shared_ptr<Model> model) {
  return static_cast<diabolo_model*>(const_cast<void*>(models().add(std::move(model))));
}

}  // namespace diabolo::capi
