#define EIGEN_DONT_PARALLELIZE  // the OpenMP settings of the caller's threads are not ours
#include "evaluate/matrix_work.h"

#include <new>

#include "backend/host/host_threads.h"
#include "kernels/cpu/features.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/thread_setup.h"

namespace diabolo {

MatrixWork::MatrixWork(int threads) : isa_(kernels::cpu::isa_of(kernels::cpu::detect_features(1))) {
  const int chosen = choose_threads(threads).threads;
  if (chosen <= 1) return;
  try {
    team_ = create_call_team(chosen);
  } catch (const Error&) {
  } catch (const std::bad_alloc&) {  // no address space for their heaps
  }
}

void MatrixWork::run(const kernels::cpu::DoubleProduct& product) const {
  kernels::cpu::multiply(
      product, isa_,
      [this](int64_t count, const std::function<void(int64_t)>& task) { run_tasks(count, task); });
}

// Which thread takes a task is left to chance, so all of them treat denormals alike.
void MatrixWork::run_tasks(int64_t count, const std::function<void(int64_t)>& task) const {
  const kernels::cpu::CallerSetup setup;
  const kernels::cpu::TeamScope scope(team_.get());
  kernels::cpu::guarded_parallel_for(team_ ? team_->threads() : 1, count, task);
}

}  // namespace diabolo
