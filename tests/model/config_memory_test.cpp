// Configurations where memory ends: the n-th allocation fails, for every n.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "model/config.h"

namespace {

int allocations_left = -1;  // the next one fails at 0; negative: none fails

}  // namespace

// Not inlined: gcc would see malloc's memory in delete.
[[gnu::noinline]] void* operator new(size_t bytes) {
  if (allocations_left >= 0 && allocations_left-- == 0) throw std::bad_alloc();
  if (void* data = std::malloc(bytes > 0 ? bytes : 1)) return data;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* data) noexcept {
  std::free(data);
}
[[gnu::noinline]] void operator delete(void* data, size_t) noexcept {
  std::free(data);
}

namespace diabolo {
namespace {

constexpr int kMost = 20000;  // the first call makes the list of keys

// How many allocations setting a key takes, each of which has failed once.
int failures_of(const char* path, const ConfigValue& value) {
  for (int failures = 0; failures < kMost; ++failures) {
    Config config;
    allocations_left = failures;
    try {
      set_config(config, path, value);
      allocations_left = -1;
      return failures;
    } catch (const std::bad_alloc&) {
      EXPECT_EQ(allocations_left, -1);
    }
  }
  return kMost;
}

// gcc 12's std::variant destroys a copy that it has not made yet, so values are not copied.
TEST(ConfigMemory, AValueThatDoesNotFitIsAnErrorAndNoCrash) {
  for (const auto& [path, value] :
       {std::pair<const char*, ConfigValue>{"model.encoder.hidden", std::vector<int64_t>(40, 7)},
        {"data.train", std::string(100, 'x')},
        {"optimizer.learning_rate", int64_t{1}}}) {
    const int failures = failures_of(path, value);
    EXPECT_GT(failures, 0) << path;
    EXPECT_LT(failures, kMost) << path;
  }
}

}  // namespace
}  // namespace diabolo
