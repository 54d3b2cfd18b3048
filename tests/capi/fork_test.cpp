// fork(): what the library says to a child that comes with its parent's handles, and what it does
// for a child that makes its own.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <thread>

#include "capi/small_model.h"

namespace diabolo_test {
namespace {

diabolo_context* wide_context() {
  auto options = sized<diabolo_context_options>();
  options.device = "cpu";  // with all its threads
  diabolo_context* context = nullptr;
  EXPECT_EQ(diabolo_context_create(&options, &context), DIABOLO_OK) << diabolo_last_error();
  return context;
}

// What the child's function returned; the child that hangs is ended and says so.
int in_child(const std::function<int()>& work) {
  constexpr unsigned kMostSeconds = 60;
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    alarm(kMostSeconds);
    const int result = work();
    std::fflush(nullptr);
    _exit(result);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_FALSE(WIFSIGNALED(status)) << "signal " << WTERMSIG(status) << " (14: it hung)";
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// A team of the program's own in this thread, where the program has OpenMP: the child's copy of it
// has no threads.
void use_openmp_here() {
  using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
  if (void* found = dlsym(RTLD_DEFAULT, "GOMP_parallel"))
    reinterpret_cast<Parallel>(found)([](void*) {}, nullptr, 2, 0);
}

class Fork : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "ThreadSanitizer lets no child start threads";
#endif
    use_openmp_here();
    context = wide_context();
    model = train_small(context);
    ASSERT_EQ(encode(model), DIABOLO_OK);
  }
  void TearDown() override {
    EXPECT_EQ(diabolo_model_destroy(model), DIABOLO_OK);
    EXPECT_EQ(diabolo_context_destroy(context), DIABOLO_OK);
  }

  diabolo_status encode(const diabolo_model* with) {
    return diabolo_encode(with, &rows, codes.data(), codes.size());
  }
  // Context, training, use and destruction, all of the child's own.
  int child_life(std::vector<float>* out = nullptr);

  diabolo_context* context = nullptr;
  diabolo_model* model = nullptr;
  const std::vector<float> values = wave_rows(kRows);
  const diabolo_rows rows = view(values);
  std::vector<float> codes = std::vector<float>(kRows * kCodeSize);
};

int Fork::child_life(std::vector<float>* out) {
  diabolo_context* own = wide_context();
  diabolo_model* made = train_small(own);
  if (!made || encode(made) != DIABOLO_OK) return 1;
  if (out) *out = codes;
  if (diabolo_encode(made, &rows, codes.data(), 1) != DIABOLO_USAGE) return 2;
  const diabolo_rows one = diabolo_rows_f32(values.data(), 1, kFeatures);
  if (diabolo_encode(made, &one, codes.data(), codes.size()) != DIABOLO_OK) return 3;
  if (diabolo_model_destroy(made) != DIABOLO_OK) return 4;
  return diabolo_context_destroy(own) == DIABOLO_OK ? 0 : 5;
}

// 0 if every call on the parent's handles was refused with a line that says why.
int try_parents(const std::vector<std::function<diabolo_status()>>& calls) {
  int number = 1;
  for (const auto& call : calls) {
    if (call() != DIABOLO_USAGE) return number;
    if (!std::strstr(diabolo_last_error(), "belongs to the parent process")) return 100 + number;
    ++number;
  }
  return 0;
}

TEST_F(Fork, TheParentsHandlesAreRefusedAtOnce) {
  const Folder folder;
  const std::string path = folder.file("x");
  auto info = sized<diabolo_model_info>();
  auto device = sized<diabolo_device_info>();
  uint64_t numbers = 0;
  diabolo_model* made = nullptr;
  const auto options = quick_training();
  const std::vector<std::function<diabolo_status()>> calls = {
      [&] { return encode(model); },
      [&] { return diabolo_decode(model, codes.data(), 1, codes.data(), codes.size()); },
      [&] { return diabolo_reconstruct(model, &rows, codes.data(), codes.size()); },
      [&] { return diabolo_score(model, &rows, codes.data(), codes.size()); },
      [&] { return diabolo_model_save(model, path.c_str()); },
      [&] { return diabolo_model_inspect(model, &info); },
      [&] { return diabolo_output_size(model, DIABOLO_ENCODE, 1, &numbers); },
      [&] {
        return diabolo_run_file(model, DIABOLO_ENCODE, path.c_str(), path.c_str(), nullptr,
                                nullptr);
      },
      [&] { return diabolo_context_info(context, &device); },
      [&] { return diabolo_model_load(context, path.c_str(), nullptr, &made); },
      [&] { return diabolo_train(context, &rows, &options, &made, nullptr); },
      [&] { return diabolo_train_file(context, path.c_str(), &options, &made, nullptr); },
  };
  EXPECT_EQ(in_child([&] { return try_parents(calls); }), 0);
  EXPECT_EQ(encode(model), DIABOLO_OK) << "the parent goes on: " << diabolo_last_error();
}

TEST_F(Fork, TheParentsHandlesCanBeDestroyed) {
  EXPECT_EQ(in_child([&] {
              if (diabolo_model_destroy(model) != DIABOLO_OK) return 1;
              if (diabolo_context_destroy(context) != DIABOLO_OK) return 2;
              return diabolo_model_destroy(model) == DIABOLO_USAGE ? 0 : 3;
            }),
            0);
  EXPECT_EQ(encode(model), DIABOLO_OK) << "in the child only: " << diabolo_last_error();
}

TEST_F(Fork, AChildsOwnHandlesWork) {
  EXPECT_EQ(in_child([&] { return child_life(); }), 0);
  EXPECT_EQ(in_child([&] { return in_child([&] { return child_life(); }); }), 0) << "a grandchild";
}

TEST_F(Fork, AChildComputesWhatItsParentDoes) {
  const std::vector<float> expected = codes;
  EXPECT_EQ(in_child([&] {
              std::vector<float> found;
              return child_life(&found) == 0 && found == expected ? 0 : 1;
            }),
            0);
}

// Whatever locks they hold in that moment.
TEST_F(Fork, WhileOtherThreadsAreInsideCalls) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer's own allocator may be locked in the child for ever";
#endif
  std::atomic<bool> ends{false};
  std::vector<std::thread> others;
  for (int i = 0; i < 3; ++i)
    others.emplace_back([&, i] {
      std::vector<float> own(kRows * kCodeSize);
      while (!ends) {
        diabolo_context* made = i == 0 ? wide_context() : nullptr;
        EXPECT_EQ(diabolo_encode(model, &rows, own.data(), own.size()), DIABOLO_OK);
        EXPECT_EQ(diabolo_context_destroy(made), DIABOLO_OK);
      }
    });
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(in_child([&] { return encode(model) == DIABOLO_USAGE ? child_life() : 50; }), 0);
  }
  ends = true;
  for (std::thread& other : others) other.join();
}

}  // namespace
}  // namespace diabolo_test
