// The library in somebody else's process: what the calling thread had set is as it was after every
// call, nothing is printed, and hostile settings do not get in.
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>
#include <xmmintrin.h>

#include <algorithm>
#include <cfenv>
#include <clocale>
#include <cstring>
#include <functional>
#include <locale>
#include <memory>
#include <thread>

#include "capi/small_model.h"

namespace diabolo_test {
namespace {

// OpenMP's settings of this thread, where the program has an OpenMP runtime (the library's own).
int openmp_threads() {
  void* function = dlsym(RTLD_DEFAULT, "omp_get_max_threads");
  return function ? reinterpret_cast<int (*)()>(function)() : 0;
}

struct ThreadState {
  unsigned float_mode = _mm_getcsr();
  int rounding = std::fegetround();
  int openmp = openmp_threads();
  cpu_set_t cpus;
  sigset_t blocked;
  std::vector<void (*)(int)> handlers;
  locale_t locale = uselocale(nullptr);
  std::string global_locale = std::setlocale(LC_ALL, nullptr);
  std::string cpp_locale = std::locale().name();

  ThreadState() {
    EXPECT_EQ(sched_getaffinity(0, sizeof cpus, &cpus), 0);
    EXPECT_EQ(pthread_sigmask(SIG_BLOCK, nullptr, &blocked), 0);
    for (int number = 1; number < SIGSYS + 1; ++number) {
      struct sigaction action {};
      sigaction(number, nullptr, &action);
      handlers.push_back(action.sa_handler);
    }
  }
};

void expect_same(const ThreadState& before, const ThreadState& after, const char* call) {
  EXPECT_EQ(before.float_mode, after.float_mode) << call;
  EXPECT_EQ(before.rounding, after.rounding) << call;
  EXPECT_EQ(before.openmp, after.openmp) << call;
  EXPECT_TRUE(CPU_EQUAL(&before.cpus, &after.cpus)) << call;
  for (int number = 1; number < SIGRTMAX; ++number)
    EXPECT_EQ(sigismember(&before.blocked, number), sigismember(&after.blocked, number)) << call;
  EXPECT_EQ(before.handlers, after.handlers) << call;
  EXPECT_EQ(before.locale, after.locale) << call;
  EXPECT_EQ(before.global_locale, after.global_locale) << call;
  EXPECT_EQ(before.cpp_locale, after.cpp_locale) << call;
}

struct Call {
  const char* name;
  std::function<void()> run;
};

class Guest : public SmallModel {
 protected:
  void check(diabolo_status status) { EXPECT_EQ(status, DIABOLO_OK) << diabolo_last_error(); }

  // Every function that does something, and a failure.
  std::vector<Call> calls();

  const std::vector<float> many = wave_rows(kRows);
  const diabolo_rows rows = view(many);
  const diabolo_rows one = diabolo_rows_f32(many.data(), 1, kFeatures);
  std::vector<float> out = std::vector<float>(kRows * kFeatures);
  std::vector<uint32_t> index = std::vector<uint32_t>(kRows);
  const Folder folder;
};

std::vector<Call> Guest::calls() {
  const std::string path = folder.file("model");
  return {
      {"context", [this] { check(diabolo_context_destroy(cpu_context())); }},
      {"train", [this] { check(diabolo_model_destroy(train_small(context))); }},
      {"save", [this, path] { check(diabolo_model_save(model, path.c_str())); }},
      {"load",
       [this, path] {
         diabolo_model* loaded = nullptr;
         check(diabolo_model_load(context, path.c_str(), nullptr, &loaded));
         check(diabolo_model_destroy(loaded));
       }},
      {"encode", [this] { check(diabolo_encode(model, &rows, out.data(), out.size())); }},
      {"encode one", [this] { check(diabolo_encode(model, &one, out.data(), out.size())); }},
      {"decode one", [this] { check(diabolo_decode(model, many.data(), 1, out.data(), 12)); }},
      {"reconstruct", [this] { check(diabolo_reconstruct(model, &rows, out.data(), out.size())); }},
      {"score one", [this] { check(diabolo_score(model, &one, out.data(), 1)); }},
      {"score features",
       [this] {
         check(diabolo_score_features(model, &rows, 1, out.data(), kRows, index.data(),
                                      out.data() + kRows, kRows));
       }},
      {"failure", [this] { EXPECT_EQ(diabolo_model_save(model, "-"), DIABOLO_USAGE); }},
  };
}

TEST_F(Guest, LeavesTheCallingThreadAsItFoundIt) {
  for (const Call& call : calls()) {
    const ThreadState before;
    call.run();
    expect_same(before, ThreadState(), call.name);
  }
}

// The settings of a thread that is unlike any other, put back at the end.
class OddSettings {
 public:
  OddSettings() {
    std::fegetenv(&before_);
    std::fesetround(FE_TOWARDZERO);
    _mm_setcsr((_mm_getcsr() | 0x8040u) &
               ~0x0e80u);  // flush; trap on NaN, 1/0, overflow, underflow
    sched_getaffinity(0, sizeof cpus_, &cpus_);
    cpu_set_t last;
    CPU_ZERO(&last);
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && CPU_COUNT(&last) == 0; --cpu)
      if (CPU_ISSET(cpu, &cpus_)) CPU_SET(cpu, &last);
    sched_setaffinity(0, sizeof last, &last);
  }
  ~OddSettings() {
    sched_setaffinity(0, sizeof cpus_, &cpus_);
    std::fesetenv(&before_);
  }
  OddSettings(const OddSettings&) = delete;
  OddSettings& operator=(const OddSettings&) = delete;

 private:
  std::fenv_t before_;
  cpu_set_t cpus_;
};

TEST_F(Guest, OddSettingsStayAndDoNotChangeResults) {
  std::vector<float> expected(kRows * kFeatures);
  check(diabolo_reconstruct(model, &rows, expected.data(), expected.size()));
  std::vector<Call> all = calls();
  std::thread([&] {
    const OddSettings settings;
    for (const Call& call : all) {
      const ThreadState before;
      call.run();
      expect_same(before, ThreadState(), call.name);
    }
    check(diabolo_reconstruct(model, &rows, out.data(), out.size()));
  }).join();
  EXPECT_EQ(out, expected);
}

// Numbers with separators, as many languages write them.
class Separators : public std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\1"; }
};

TEST_F(Guest, AGlobalLocaleDoesNotGetIntoFilesOrMessages) {
  const std::string plain = folder.file("plain"), local = folder.file("local");
  check(diabolo_model_save(model, plain.c_str()));
  const auto classic = std::locale::global(std::locale(std::locale(), new Separators));
  check(diabolo_model_save(model, local.c_str()));
  diabolo_model* loaded = nullptr;
  EXPECT_EQ(diabolo_model_load(context, plain.c_str(), nullptr, &loaded), DIABOLO_OK)
      << diabolo_last_error();
  check(diabolo_model_destroy(loaded));
  check(diabolo_model_destroy(train_small(context)));
  EXPECT_EQ(diabolo_encode(model, &rows, out.data(), 10), DIABOLO_USAGE);
  EXPECT_NE(std::strstr(diabolo_last_error(), "room for 900 numbers"), nullptr)
      << diabolo_last_error();
  std::locale::global(classic);
  const auto content = [](const std::string& path) {
    std::FILE* file = std::fopen(path.c_str(), "rb");
    std::vector<char> bytes(std::filesystem::file_size(path));
    EXPECT_EQ(std::fread(bytes.data(), 1, bytes.size(), file), bytes.size());
    std::fclose(file);
    return bytes;
  };
  EXPECT_EQ(content(plain), content(local));
}

TEST_F(Guest, CallbacksRunInTheCallersEnvironment) {
  static unsigned seen;
  auto options = quick_training();
  options.progress = [](const diabolo_train_progress*, void*) -> int32_t {
    seen = _mm_getcsr() & ~0x3fu;  // but for the flags of what has happened
    return 0;
  };
  diabolo_model* made = nullptr;
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040u);
  check(diabolo_train(context, &rows, &options, &made, nullptr));
  _mm_setcsr(before);
  check(diabolo_model_destroy(made));
  EXPECT_EQ(seen, (before | 0x8040u) & ~0x3fu);
}

TEST_F(Guest, PrintsNothing) {
  const std::string path = folder.file("printed");
  const int saved_out = dup(STDOUT_FILENO), saved_err = dup(STDERR_FILENO);
  std::FILE* file = std::fopen(path.c_str(), "w");
  dup2(fileno(file), STDOUT_FILENO);
  dup2(fileno(file), STDERR_FILENO);
  for (const Call& call : calls()) call.run();
  dup2(saved_out, STDOUT_FILENO);
  dup2(saved_err, STDERR_FILENO);
  std::fclose(file);
  close(saved_out);
  close(saved_err);
  EXPECT_EQ(std::filesystem::file_size(path), 0u);
}

size_t threads_of_this_process() {
  const auto tasks = std::filesystem::directory_iterator("/proc/self/task");
  return static_cast<size_t>(std::distance(begin(tasks), end(tasks)));
}

TEST_F(Guest, AFewRowsStartNoThreads) {
  auto options = sized<diabolo_context_options>();
  options.device = "cpu";  // with all its threads
  diabolo_context* wide = nullptr;
  check(diabolo_context_create(&options, &wide));
  diabolo_model* wide_model = train_small(wide);
  std::thread([&] {
    const size_t before = threads_of_this_process();
    check(diabolo_encode(wide_model, &one, out.data(), out.size()));
    check(diabolo_reconstruct(wide_model, &one, out.data(), out.size()));
    // Fewer: a thread that was joined is listed a little longer.
    EXPECT_LE(threads_of_this_process(), before);
  }).join();
  check(diabolo_model_destroy(wide_model));
  check(diabolo_context_destroy(wide));
}

// Threads of this process but the first, and how many of them take neither SIGTERM nor SIGINT.
struct Others {
  size_t count = 0, deaf = 0;
};

Others other_threads() {
  Others others;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == std::to_string(getpid())) continue;
    std::FILE* status = std::fopen((task.path() / "status").c_str(), "r");
    if (!status) continue;  // it has ended
    ++others.count;
    char line[256];
    unsigned long long blocked = 0;
    while (std::fgets(line, sizeof line, status)) std::sscanf(line, "SigBlk: %llx", &blocked);
    std::fclose(status);
    others.deaf += (blocked >> (SIGTERM - 1)) & (blocked >> (SIGINT - 1)) & 1;
  }
  return others;
}

TEST_F(Guest, ThreadsOfItsOwnTakeNoSignals) {
  auto options = sized<diabolo_context_options>();
  options.device = "cpu";  // with all its threads
  diabolo_context* wide = nullptr;
  check(diabolo_context_create(&options, &wide));
  diabolo_model* wide_model = train_small(wide);
  constexpr size_t kMany = 200'000;  // fewer are not worth a second thread
  const std::vector<float> values = wave_rows(kMany);
  const diabolo_rows all = view(values);
  std::vector<float> codes(kMany * kCodeSize);
  check(diabolo_encode(wide_model, &all, codes.data(), codes.size()));  // starts them
  Others others = other_threads();
  // Joined threads of earlier tests are listed a little longer.
  for (int i = 0; i < 1000 && others.deaf < others.count; ++i) {
    usleep(10'000);
    others = other_threads();
  }
  if (std::thread::hardware_concurrency() > 1) {
    EXPECT_GE(others.count, 1u);
  }
  EXPECT_EQ(others.deaf, others.count);
  check(diabolo_model_destroy(wide_model));
  check(diabolo_context_destroy(wide));
}

}  // namespace
}  // namespace diabolo_test
