// What is behind the handles of the C interface, and the tables that tell a handle from any other
// address: a handle that was destroyed, or was never one, is an error and not a crash.
#pragma once

#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "backend/backend.h"
#include "base/log.h"
#include "diabolo/diabolo.h"
#include "model/model_file.h"
#include "run/inference.h"

namespace diabolo::capi {

struct Context {
  std::unique_ptr<Backend> backend;
  uint64_t threads = 0;  // as asked for; 0: all
  Precision precision = Precision::kF32;
  bool fast_policy = false;
  Log log;
};

struct Model {
  Model(std::shared_ptr<const Context> context, ModelFile file);

  std::shared_ptr<const Context> context;
  ModelFile file;
  Inference inference;
  std::mutex saving;  // save_model writes file.hash, which nothing else here reads
};

// Handles that live, each the address of its object. Thread-safe.
template <class Object>
class HandleTable {
 public:
  const void* add(std::shared_ptr<Object> object) {
    const void* handle = object.get();
    const std::unique_lock lock(mutex_);
    objects_.emplace(handle, std::move(object));
    return handle;
  }

  // Null if it is none of ours.
  std::shared_ptr<Object> find(const void* handle) const {
    const std::shared_lock lock(mutex_);
    const auto found = objects_.find(handle);
    return found == objects_.end() ? nullptr : found->second;
  }

  // The same, and forgets it.
  std::shared_ptr<Object> take(const void* handle) {
    const std::unique_lock lock(mutex_);
    const auto found = objects_.find(handle);
    if (found == objects_.end()) return nullptr;
    std::shared_ptr<Object> object = std::move(found->second);
    objects_.erase(found);
    return object;
  }

 private:
  mutable std::shared_mutex mutex_;
  std::unordered_map<const void*, std::shared_ptr<Object>> objects_;
};

// They live as long as the process: a handle that a program leaves behind is not destroyed while
// its exit takes the world apart.
HandleTable<Context>& contexts();
HandleTable<Model>& models();

// Throw Error{kUsage} for null and for what is no handle.
std::shared_ptr<Context> find_context(const diabolo_context* handle);
std::shared_ptr<Model> find_model(const diabolo_model* handle);

diabolo_context* new_handle(std::shared_ptr<Context> context);
diabolo_model* new_handle(std::shared_ptr<Model> model);

}  // namespace diabolo::capi
