#define EIGEN_DONT_PARALLELIZE  // the OpenMP settings of the caller's threads are not ours
#include "run/matrix_work.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "backend/host/host_threads.h"
#include "kernels/cpu/features.h"

namespace diabolo {
MatrixWork::MatrixWork(int threads)
    : threads_(choose_threads(threads).threads),
      isa_(kernels::cpu::isa_of(kernels::cpu::detect_features(1))) {}

void MatrixWork::run(const kernels::cpu::DoubleProduct& product) const {
  kernels::cpu::multiply(
      product, isa_,
      [this](int64_t count, const std::function<void(int64_t)>& task) { run_tasks(count, task); });
}

// Which thread takes a task is left to chance; where no thread can be started the caller does all.
void MatrixWork::run_tasks(int64_t count, const std::function<void(int64_t)>& task) const {
  std::atomic<int64_t> next = 0;
  std::exception_ptr failure;
  std::mutex mutex;
  const auto work = [&] {
    try {
      for (int64_t i = next++; i < count; i = next++) task(i);
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  };
  std::vector<std::jthread> helpers;
  const auto wanted = std::min<int64_t>(threads_, count) - 1;
  try {
    const SignalsBlocked blocked;
    for (int64_t i = 0; i < wanted; ++i) helpers.emplace_back(work);
  } catch (const std::system_error&) {
  }
  work();
  helpers.clear();  // joins
  if (failure) std::rethrow_exception(failure);
}

}  // namespace diabolo
