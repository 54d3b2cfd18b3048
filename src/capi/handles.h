// What is behind the handles of the C interface, and the tables that tell a handle from any other
// address: a handle that was destroyed, or was never one, is an error and not a crash.
//
// fork() copies handles into a child where the threads behind them do not run and locks that they
// held stay held. So a handle belongs to the process that made it: in a child its parent's are
// refused before anything of theirs is touched, and destroying one only forgets it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "backend/backend.h"
#include "base/log.h"
#include "diabolo/diabolo.h"
#include "infer/inference.h"
#include "model/model_file.h"

namespace diabolo::capi {

struct Context {
  std::unique_ptr<Backend> backend;
  uint64_t threads = 0;  // as asked for; 0: all
  Precision precision = Precision::kF32;
  bool fast_policy = false;
  Log log;
};

struct Model {
  // loaded_from: absolute; empty: in memory only.
  Model(std::shared_ptr<const Context> context, ModelFile file, std::string loaded_from = {});
  // One that computes as `like` does, by the same inference.
  Model(const Model& like, ModelFile file);

  std::shared_ptr<const Context> context;
  ModelFile file;
  std::shared_ptr<const Inference> shared_inference;
  const Inference& inference;
  // Where its file lies: loaded from, last saved to. No output replaces these.
  std::vector<std::string> places() const;

  const std::string loaded_from;  // or trained in
  mutable std::mutex saving;      // one file at a time; of saved_to
  mutable std::string saved_to;
  mutable std::mutex texts_mutex;
  mutable std::map<diabolo_text, std::string> texts;  // that were asked for
};

// How many forks lie between this process and the one that loaded the library.
uint64_t fork_generation();

// Handles that live, each the address of its object. Thread-safe.
template <class Object>
class HandleTable {
 public:
  struct Found {
    std::shared_ptr<Object> object;  // null if the handle is none of ours
    bool is_of_parent = false;
  };

  const void* add(std::shared_ptr<Object> object) {
    const void* handle = object.get();
    const std::unique_lock lock(mutex_);
    entries_.emplace(handle, Entry{std::move(object), fork_generation()});
    return handle;
  }

  Found find(const void* handle) const {
    const std::shared_lock lock(mutex_);
    const auto found = entries_.find(handle);
    return found == entries_.end() ? Found() : result_of(found->second);
  }

  // The same, and forgets it.
  Found take(const void* handle) {
    const std::unique_lock lock(mutex_);
    const auto found = entries_.find(handle);
    if (found == entries_.end()) return {};
    const Found result = result_of(found->second);
    entries_.erase(found);
    return result;
  }

  // Around a fork: nobody is changing the table in the moment that is copied. The child's lock is a
  // new one, since only a thread of the parent could open the old one.
  void before_fork() { mutex_.lock(); }
  void after_fork_in_parent() { mutex_.unlock(); }
  void after_fork_in_child() { std::construct_at(&mutex_); }

 private:
  struct Entry {
    std::shared_ptr<Object> object;
    uint64_t generation = 0;
  };
  static Found result_of(const Entry& entry) {
    return {entry.object, entry.generation != fork_generation()};
  }

  mutable std::shared_mutex mutex_;
  std::unordered_map<const void*, Entry> entries_;
};

// They live as long as the process: a handle that a program leaves behind is not destroyed while
// its exit takes the world apart.
HandleTable<Context>& contexts();
HandleTable<Model>& models();

// Throw Error{kUsage} for null, for what is no handle, and for a handle of the parent process.
std::shared_ptr<Context> find_context(const diabolo_context* handle);
std::shared_ptr<Model> find_model(const diabolo_model* handle);

// Forget the handle, and free what is behind it once nothing uses it; but nothing of a parent's.
// Null is allowed. Throw Error{kUsage} for what is no handle.
void destroy_handle(diabolo_context* handle);
void destroy_handle(diabolo_model* handle);

diabolo_context* new_handle(std::shared_ptr<Context> context);
diabolo_model* new_handle(std::shared_ptr<Model> model);

}  // namespace diabolo::capi
